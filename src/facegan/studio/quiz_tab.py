"""The tab of the quiz, which asks which of two images is real."""

from typing import Any

import gradio as gr

from facegan.errors import RequestError
from facegan.studio.components import Components, Values, options_of
from facegan.studio.quiz import Question, Score
from facegan.studio.widgets import image_frame


def check_answer(question: Question | None, score: Score, left_is_real: bool) -> Values:
    """Return the verdict on an answer, and the new score."""
    if question is None:
        raise RequestError("This pair is answered.", 'Press "Next pair".')
    is_right = question.real_is_left == left_is_real
    score = score.with_answer(is_right)
    names = ("Real", f"Generated, seed {question.seed}")
    left, right = names if question.real_is_left else names[::-1]
    verdict = "Right." if is_right else "Wrong."
    text = f"**{verdict}** Left: {left.lower()}. Right: {right.lower()}."
    return [None, gr.update(alt_text=left), gr.update(alt_text=right), text, score, score.summary]


def add_quiz_tab(components: Components, tab: gr.Tab) -> None:
    """Add the tab's widgets and handlers."""
    summary = gr.Markdown(Score().summary, elem_id="quiz-score")
    with gr.Row():
        left = image_frame("quiz-left", min_width=140)
        right = image_frame("quiz-right", min_width=140)
    with gr.Row():
        left_button = gr.Button("← Left is real", elem_id="left-is-real", min_width=120)
        right_button = gr.Button("Right is real →", elem_id="right-is-real", min_width=120)
    verdict = gr.Markdown(elem_id="verdict")
    next_pair = gr.Button("Next pair", variant="primary", elem_id="next-pair")
    question, score = gr.State(None), gr.State(Score())
    outputs = [question, left, right, verdict]

    def ask(psi: float, class_name: str) -> Values:
        asked = components.studio.new_question(options_of(psi, class_name))
        left = gr.update(value=str(asked.left), alt_text="Left")
        right = gr.update(value=str(asked.right), alt_text="Right")
        return [asked, left, right, ""]

    def ask_first(current: Question | None, psi: float, class_name: str) -> Values:
        return [gr.skip() for _ in outputs] if current else ask(psi, class_name)

    def answer(left_is_real: bool) -> Any:
        return lambda question, score: check_answer(question, score, left_is_real)

    components.on([tab.select], ask_first, [question, *components.options], outputs)
    components.on([next_pair.click], ask, components.options, outputs)
    for button, is_left in ((left_button, True), (right_button, False)):
        answered = [*outputs, score, summary]
        components.on([button.click], answer(is_left), [question, score], answered)
