"""The plain way: Flask under gunicorn, a request a thread, no batching."""

import flask
from generator import TYPES, draw, encode, latents_of, load_generator

generator = load_generator()
app = flask.Flask(__name__)


@app.get("/ping")
def ping() -> str:
    return ""


@app.post("/invocations")
def invocations() -> flask.Response:
    wish = flask.request.get_json()
    images = draw(generator, latents_of(wish["seeds"]))
    return flask.Response(encode(images, wish["reply"]), mimetype=TYPES[wish["reply"]])
