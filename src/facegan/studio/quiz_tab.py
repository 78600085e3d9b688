"""The quiz: which of two pictures is of the data set, and which is the model's."""

from typing import Any

import gradio as gr

from facegan.errors import RequestError
from facegan.studio.desk import Desk, Values, look_of
from facegan.studio.pieces import picture_frame
from facegan.studio.quiz import Round, Score
from facegan.studio.session import Studio
from facegan.studio.wishes import Look


def ask(studio: Studio, look: Look) -> Values:
    """Another pair."""
    question = studio.round(look)
    left = gr.update(value=str(question.left), alt_text="Left")
    right = gr.update(value=str(question.right), alt_text="Right")
    return [question, left, right, ""]


def answer(question: Round | None, score: Score, left_is_real: bool) -> Values:
    """What the visitor said, judged."""
    if question is None:
        raise RequestError("This pair is answered.", 'Press "Next pair".')
    is_right = question.real_is_left == left_is_real
    score = score.with_answer(is_right)
    names = ("Real", f"Generated, seed {question.seed}")
    left, right = names if question.real_is_left else names[::-1]
    verdict = "Right." if is_right else "Wrong."
    told = f"**{verdict}** Left: {left.lower()}. Right: {right.lower()}."
    return [None, gr.update(alt_text=left), gr.update(alt_text=right), told, score, score.told]


def add_quiz_tab(desk: Desk, tab: gr.Tab) -> None:
    """Lay the part out, and say what its controls do."""
    told = gr.Markdown(Score().told, elem_id="quiz-score")
    with gr.Row():
        left = picture_frame("quiz-left", min_width=140)
        right = picture_frame("quiz-right", min_width=140)
    with gr.Row():
        left_is_real = gr.Button("← Left is real", elem_id="left-is-real", min_width=120)
        right_is_real = gr.Button("Right is real →", elem_id="right-is-real", min_width=120)
    verdict = gr.Markdown(elem_id="verdict")
    another = gr.Button("Next pair", variant="primary", elem_id="next-pair")
    question, score = gr.State(None), gr.State(Score())
    pair = [question, left, right, verdict]

    def judge(left_is_real: bool) -> Any:
        return lambda question, score: answer(question, score, left_is_real)

    def work(psi: float, kind: str) -> Values:
        return ask(desk.studio, look_of(psi, kind))

    def begin(known: Round | None, psi: float, kind: str) -> Values:
        return [gr.skip() for _ in pair] if known else work(psi, kind)

    desk.on([tab.select], begin, [question, *desk.look], pair)
    desk.on([another.click], work, desk.look, pair)
    for button, left_is in ((left_is_real, True), (right_is_real, False)):
        desk.on([button.click], judge(left_is), [question, score], [*pair, score, told])
