"""Pix2Pix (Isola, Zhu, Zhou & Efros, arXiv:1611.07004): images from images or label maps."""
