"""The settings of a training run: names, types, ranges and defaults, without torch.

``setting.py`` declares a family's hyperparameters and presets, ``training.py`` the trainer's,
``run_spec.py`` the whole run, ``run_file.py`` reads and writes it as ``run.toml``.
"""
