"""CycleGAN (Zhu, Park, Isola & Efros, arXiv:1703.10593): translates between two sets of images."""
