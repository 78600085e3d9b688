"""A local page to look at faces with: any endpoint, through the client that everybody else has.

Importing this room does not import Gradio; ``facegan.studio.page`` does.
"""

from facegan.studio.facts import ModelFacts, learn
from facegan.studio.patience import PatientTransport
from facegan.studio.quiz import Reals
from facegan.studio.session import Studio
from facegan.studio.wishes import Look, Portrait

__all__ = ["Look", "ModelFacts", "PatientTransport", "Portrait", "Reals", "Studio", "learn"]
