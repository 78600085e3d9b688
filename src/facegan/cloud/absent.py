"""Whether a call failed because what it was about is not there: AWS has many ways to say so."""

from facegan.errors import CloudError

NO_OBJECT = ("NoSuchKey", "404", "NotFound")  # S3's
CODES = {
    *NO_OBJECT,
    "NoSuchBucket",
    "NoSuchUpload",
    "ObjectNotFoundException",
    "RepositoryNotFoundException",
    "ResourceNotFound",
    "ResourceNotFoundException",
}
OF_ALL = ("ValidationException", "ValidationError")  # codes that say too little; the words decide
WORDS = ("could not find", "does not exist", "not found", "cannot find")


def is_absent(error: CloudError) -> bool:
    """Whether an error says that the thing is not there (any more)."""
    if error.code in CODES:
        return True
    told = error.message.lower()
    return error.code in OF_ALL and any(words in told for words in WORDS)
