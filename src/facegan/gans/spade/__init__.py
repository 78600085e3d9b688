"""SPADE (Park, Liu, Wang & Zhu, arXiv:1903.07291), called GauGAN; and OASIS (arXiv:2012.04781)."""
