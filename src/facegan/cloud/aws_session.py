"""Opens boto3 sessions that ask the instance metadata service only where there is one."""

from pathlib import Path
from typing import Any

from facegan.errors import CloudError

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html
NITRO, XEN = "sys/devices/virtual/dmi/id/board_asset_tag", "sys/hypervisor/uuid"


def open_session(region: str | None, profile: str | None) -> Any:
    """Return a boto3 session.

    botocore, where it finds no credentials, asks 169.254.169.254 for those of an EC2 instance, on
    every machine and network. Here it does so on EC2, or where the user has named that address
    (AWS_EC2_METADATA_SERVICE_ENDPOINT, or ec2_metadata_service_endpoint in ~/.aws/config).

    Args:
        region: AWS region; boto3's usual sources where None.
        profile: AWS profile; boto3's usual sources where None.

    Raises:
        CloudError: boto3 is not installed.
        BotoCoreError: there is no such profile.
    """
    try:
        import boto3
        from botocore.session import Session
    except ImportError as cause:
        raise CloudError("boto3 is not installed.", "pip install 'facegan[cloud]'") from cause
    session = Session(profile=profile)
    is_named = session.get_config_variable("ec2_metadata_service_endpoint") is not None
    if not is_named and not is_ec2():
        session.set_config_variable("metadata_service_num_attempts", 0)
    return boto3.Session(botocore_session=session, region_name=region)


def is_ec2(root: Path = Path("/")) -> bool:
    """Return whether Linux says that this machine is an EC2 instance; containers see it too."""
    return first_letters(root / NITRO).startswith("i-") or first_letters(root / XEN) == "ec2"


def first_letters(file: Path) -> str:
    """Return the first three letters of a file; none where it cannot be read."""
    try:
        return file.read_text()[:3].lower()
    except (OSError, ValueError):
        return ""
