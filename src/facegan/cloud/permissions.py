"""What IAM calls the permission for a call: not always by the call's own name.

https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

PREFIXES = {  # boto3's name of a service → IAM's, where they differ
    "apigatewayv2": "apigateway",
    "resourcegroupstaggingapi": "tag",
    "sagemaker-runtime": "sagemaker",
    "service-quotas": "servicequotas",
}
OTHER_NAMES = {  # call → what IAM asks for, where that is not PREFIX:Action
    "s3:CompleteMultipartUpload": ("s3:PutObject",),
    "s3:CreateMultipartUpload": ("s3:PutObject",),
    "s3:DeleteObjects": ("s3:DeleteObject",),
    "s3:DeleteBucketTagging": ("s3:PutBucketTagging",),
    "s3:GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:ListParts": ("s3:ListMultipartUploadParts",),
    "s3:PutBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "s3:PutBucketLifecycleConfiguration": ("s3:PutLifecycleConfiguration",),
    "s3:PutPublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "s3:UploadPart": ("s3:PutObject",),
    "ecr:CreateRepository": ("ecr:CreateRepository", "ecr:TagResource"),
    "iam:CreateRole": ("iam:CreateRole", "iam:TagRole"),
    # What is made with tags needs the permission to tag; what acts as a role, to hand it on.
    "sagemaker:CreateTrainingJob": (
        "sagemaker:CreateTrainingJob", "sagemaker:AddTags", "iam:PassRole",
    ),
    "sagemaker:CreateHyperParameterTuningJob": (
        "sagemaker:CreateHyperParameterTuningJob", "sagemaker:AddTags", "iam:PassRole",
    ),
    "sagemaker:CreateModel": ("sagemaker:CreateModel", "sagemaker:AddTags", "iam:PassRole"),
    "sagemaker:CreateEndpointConfig": ("sagemaker:CreateEndpointConfig", "sagemaker:AddTags"),
    "sagemaker:CreateEndpoint": ("sagemaker:CreateEndpoint", "sagemaker:AddTags"),
    "sagemaker:CreateTransformJob": ("sagemaker:CreateTransformJob", "sagemaker:AddTags"),
    "sagemaker:CreateModelPackageGroup": (
        "sagemaker:CreateModelPackageGroup", "sagemaker:AddTags",
    ),
    "sagemaker:CreateModelPackage": ("sagemaker:CreateModelPackage", "sagemaker:AddTags"),
    # Its first target in an account makes a role that the service acts as.
    "application-autoscaling:RegisterScalableTarget": (
        "application-autoscaling:RegisterScalableTarget", "iam:CreateServiceLinkedRole",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
    ),
    "cloudwatch:PutMetricAlarm": ("cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"),
    "sagemaker:CreateExperiment": ("sagemaker:CreateExperiment", "sagemaker:AddTags"),
    "sagemaker:CreateTrial": ("sagemaker:CreateTrial", "sagemaker:AddTags"),
}  # fmt: skip


def permissions_of(service: str, action: str) -> tuple[str, ...]:
    """The permissions that a call needs, that for the call itself first.

    Args:
        service: boto3's name of the service.
        action: The API's name of the call.
    """
    named = OTHER_NAMES.get(f"{service}:{action}")
    return named or (f"{PREFIXES.get(service, service)}:{action}",)
