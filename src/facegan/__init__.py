"""facegan: train an image-generating GAN on your own pictures, and serve it, on SageMaker."""

__version__ = "0.1.0"
