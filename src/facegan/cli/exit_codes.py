"""Exit codes of `facegan`, one for each kind of error."""

from facegan import errors

# What a script can tell apart by exit code; 2 is click's own for a wrong command line.
# docs/exit-codes.md explains them; a test compares the two.
EXIT_CODES: dict[type[errors.FaceGANError], int] = {
    errors.ConfigError: 2,
    errors.DatasetError: 3,
    errors.RunError: 4,
    errors.OutputError: 4,
    errors.TrainingDiverged: 5,
    errors.ArtifactError: 6,
    errors.ServeError: 7,
    errors.InvocationError: 8,
    errors.CloudError: 9,
    errors.RequestError: 10,
    errors.MetricError: 11,
    errors.ExportError: 12,
    errors.DockerError: 13,
}


def exit_code(error: errors.FaceGANError) -> int:
    """The exit code of an error: that of the nearest class in the table, else 1."""
    return next((EXIT_CODES[cls] for cls in type(error).__mro__ if cls in EXIT_CODES), 1)
