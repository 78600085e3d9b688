"""AWS on loopback for whoever follows the documents: a moto server, and what it cannot do.

``GAPS`` is the one table of what is answered here instead of by moto, each with its reason.
"""

import io
import json
import struct
import tarfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs

import boto3
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

NUMBER, REGION = "123456789012", "eu-west-1"
LOOKS = 4  # a job runs until it was described so often
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": REGION,
}  # fmt: skip
IAM = '<R xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><{0}Result>{1}</{0}Result></R>'
ALLOWED = "<member><EvalActionName>{}</EvalActionName><EvalDecision>allowed</EvalDecision></member>"


@dataclass(frozen=True)
class ApiCall:
    """A call: what it is, what it says, and moto's answer if it is asked."""

    action: str
    body: Any
    request: Request
    moto: Callable[[], Response]


class Account:
    """An account with nothing in it, and machines that serve one model.

    Args:
        model: The archive that every training job leaves.
        server: Address of a server of that model: what answers for every endpoint.
    """

    def __init__(self, model: Path, server: str) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.model, self.server = model.read_bytes(), server
        self.looks: dict[str, int] = {}  # a training job that runs → how often it was described
        self.tuned: dict[str, list[dict[str, Any]]] = {}
        self.app = DomainDispatcherApplication(create_backend_app)
        self.http: BaseWSGIServer = make_server(
            "127.0.0.1", 0, self, threaded=True, request_handler=Quiet
        )
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.session = boto3.Session(
            KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], region_name=REGION
        )
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        accept = "moto.sagemaker.models.FakeEndpointConfig.validate_instance_type"
        self.types = patch(accept, lambda *_: True)  # see GAPS
        self.types.start()

    def close(self) -> None:
        """End the server."""
        self.types.stop()
        self.http.shutdown()

    def empty(self) -> None:
        """Forget everything."""
        urllib.request.urlopen(f"{self.url}/moto-api/reset", data=b"", timeout=20).close()
        self.looks, self.tuned = {}, {}

    def client(self, service: str) -> Any:
        """boto3's client of a service."""
        return self.session.client(service, endpoint_url=self.url)

    @property
    def sagemaker(self) -> Any:
        """Where moto keeps what SageMaker has."""
        from moto.sagemaker.models import sagemaker_backends

        return sagemaker_backends[NUMBER][REGION]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer by a gap's function, else by moto."""
        service, action = named(environ)
        found = GAPS.get((service, action))
        if found is None:
            return self.app(environ, start_response)  # type: ignore[no-any-return]
        request = Request(environ)
        data = request.get_data()

        def moto() -> Response:
            environ["wsgi.input"] = io.BytesIO(data)
            return Response.from_app(self.app, environ)

        api_call = ApiCall(action, parsed(data), request, moto)
        return found[0](self, api_call)(environ, start_response)


class Quiet(WSGIRequestHandler):
    """Writes no line for a request."""

    def log(self, *words: object) -> None:
        """Nothing."""


def named(environ: dict[str, Any]) -> tuple[str, str]:
    """Service and action of a request."""
    path = environ["PATH_INFO"]
    if path.startswith("/door/"):
        return "door", "GET"
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
    service = scope[3] if len(scope) > 3 else ""
    if path.endswith("/invocations-response-stream"):
        return "runtime", "InvokeEndpointWithResponseStream"
    if path.endswith("/invocations"):
        return "runtime", "InvokeEndpoint"
    if path.endswith("/async-invocations"):
        return "runtime", "InvokeEndpointAsync"
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return service, target.rpartition(".")[2]
    if service in ("iam", "cloudformation"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        return service, parse_qs(body.decode())["Action"][0]
    return service, ""


def parsed(data: bytes) -> Any:
    """A body in JSON or in a query's form; else its bytes."""
    try:
        return json.loads(data)
    except ValueError:
        return data


def answer(value: Any) -> Response:
    """An answer of the services that speak JSON."""
    return Response(json.dumps(value, default=str), mimetype="application/x-amz-json-1.1")


# Each gap


def create_training_job(account: Account, call: ApiCall) -> Response:
    """moto's job is complete at once and leaves nothing: it runs a while here, and then does."""
    name = call.body["TrainingJobName"]
    if name in account.sagemaker.training_jobs:
        response = answer({"__type": "ResourceInUse", "message": f"There is a job {name} already"})
        response.status_code = 400
        return response
    response = call.moto()
    if response.status_code == 200:
        begin(account, call.body)
    return response


def begin(account: Account, requested: dict[str, Any]) -> None:
    """A job runs, and has written its first tick and line."""
    name = requested["TrainingJobName"]
    account.looks[name] = 0
    job = account.sagemaker.training_jobs[name]
    job.training_job_status, job.secondary_status = "InProgress", "Training"
    ticks = [{"kimg": k, "generator": 1 / k, "kid_lite0": 0.1, "variety": 0.4} for k in (1, 2, 3)]
    record = "".join(json.dumps(tick) + "\n" for tick in ticks).encode()
    run = {"metrics.jsonl": record, "checkpoints/step-3.safetensors": b"0"}
    for key, body in run.items() if "CheckpointConfig" in requested else ():
        put(account, f"{requested['CheckpointConfig']['S3Uri'].rstrip('/')}/{key}", body)
    logs = account.client("logs")
    where = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": f"{name}/algo-1-1"}
    groups = logs.describe_log_groups(logGroupNamePrefix=where["logGroupName"])["logGroups"]
    if not groups:
        logs.create_log_group(logGroupName=where["logGroupName"])
    logs.create_log_stream(**where)
    line = {"timestamp": int(time.time() * 1000), "message": "kimg=1; generator=1;"}
    logs.put_log_events(**where, logEvents=[line])


def complete(account: Account, name: str) -> None:
    """The container has written its model and its record."""
    job = account.sagemaker.training_jobs[name]
    output = f"{job.output_data_config['S3OutputPath'].rstrip('/')}/{name}/output"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo("run.json")
        about.size = 3
        archive.addfile(about, io.BytesIO(b"{}\n"))
    put(account, f"{output}/model.tar.gz", account.model)
    put(account, f"{output}/output.tar.gz", packed.getvalue())
    del account.looks[name]
    job.training_job_status = job.secondary_status = "Completed"
    job.model_artifacts = {"S3ModelArtifacts": f"{output}/model.tar.gz"}


def put(account: Account, address: str, body: bytes) -> None:
    """Write an object."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def describe_training_job(account: Account, call: ApiCall) -> Response:
    name = call.body["TrainingJobName"]
    if name in account.looks:
        account.looks[name] += 1
        if account.looks[name] > LOOKS:
            complete(account, name)
    response = call.moto()
    if response.status_code != 200:
        return response
    described = {k: v for k, v in json.loads(response.get_data()).items() if v is not None}
    if name in account.looks:
        for of_the_end in ("ModelArtifacts", "TrainingEndTime"):
            described.pop(of_the_end, None)
    return answer(described)


def list_training_jobs(account: Account, call: ApiCall) -> Response:
    """moto heeds no filter by warm pools, of which it has none."""
    if "WarmPoolStatusEquals" in call.body:
        return answer({"TrainingJobSummaries": []})
    return call.moto()


def stop_training_job(account: Account, call: ApiCall) -> Response:
    name = call.body["TrainingJobName"]
    account.looks.pop(name, None)
    job = account.sagemaker.training_jobs[name]
    job.training_job_status = job.secondary_status = "Stopped"
    return answer({})


OF_TUNING = ("StaticHyperParameters", "HyperParameterRanges", "DefinitionName", "TuningObjective")


def delete_training_job(account: Account, call: ApiCall) -> Response:
    del account.sagemaker.training_jobs[call.body["TrainingJobName"]]
    return answer({})


def create_tuning_job(account: Account, call: ApiCall) -> Response:
    """moto's tuning job has no training jobs: it gets two."""
    response = call.moto()
    requested = call.body
    name, job = requested["HyperParameterTuningJobName"], requested["TrainingJobDefinition"]
    if response.status_code != 200:
        return response
    config = requested["HyperParameterTuningJobConfig"]
    figure = config["HyperParameterTuningJobObjective"]
    account.tuned[name] = []
    for number, value in ((1, 0.02), (2, 0.01)):
        called = f"{name}-00{number}"
        parts = {k: v for k, v in job.items() if k not in OF_TUNING}
        account.client("sagemaker").create_training_job(
            TrainingJobName=called, HyperParameters=job["StaticHyperParameters"], **parts
        )
        complete(account, called)
        found = account.sagemaker.training_jobs[called]
        account.tuned[name].append({
            "TrainingJobName": called, "TrainingJobArn": found.arn,
            "TrainingJobStatus": "Completed", "CreationTime": time.time(),
            "TunedHyperParameters": {"generator_learning_rate": "0.0002"},
            "FinalHyperParameterTuningJobObjectiveMetric": {
                "MetricName": figure["MetricName"], "Value": value},
        })  # fmt: skip
    return response


def list_tuned(account: Account, call: ApiCall) -> Response:
    name = call.body["HyperParameterTuningJobName"]
    return answer({"TrainingJobSummaries": account.tuned[name]})


def describe_tuning_job(account: Account, call: ApiCall) -> Response:
    response = call.moto()
    name = call.body["HyperParameterTuningJobName"]
    if response.status_code != 200:
        return response
    best = account.tuned[name][-1]
    return answer(json.loads(response.get_data()) | {"BestTrainingJob": best})


def stop_tuning_job(account: Account, call: ApiCall) -> Response:
    return answer({})


def search(account: Account, call: ApiCall) -> Response:
    if call.body["Resource"] != "HyperParameterTuningJob":
        return call.moto()
    jobs = account.sagemaker.hyper_parameter_tuning_jobs.values()
    found = [{"HyperParameterTuningJob": plain(job.response_object)} for job in jobs]
    return answer({"Results": found})


def plain(described: dict[str, Any]) -> dict[str, Any]:
    """A description without times, which moto has as words here."""
    return {k: v for k, v in described.items() if v is not None and not k.endswith("Time")}


def update_endpoint(account: Account, call: ApiCall) -> Response:
    requested = call.body
    endpoint = account.sagemaker.endpoints[requested["EndpointName"]]
    config = account.sagemaker.endpoint_configs[requested["EndpointConfigName"]]
    endpoint.endpoint_config_name = requested["EndpointConfigName"]
    endpoint.production_variants = endpoint._process_production_variants(config.production_variants)
    return answer({"EndpointArn": endpoint.arn})


def describe_experiment(account: Account, call: ApiCall) -> Response:
    """moto answers 500 where there is none; AWS says ResourceNotFound."""
    kind = call.action.removeprefix("Describe")
    name = call.body[f"{kind}Name"]
    kept = {"Experiment": account.sagemaker.experiments, "Trial": account.sagemaker.trials}
    if name in kept[kind]:
        return call.moto()
    response = answer({"__type": "ResourceNotFound", "message": f"{kind} {name} does not exist"})
    response.status_code = 400
    return response


def put_image(account: Account, call: ApiCall) -> Response:
    """`docker push` asks first and sends no image twice; what stands for it does not ask."""
    response = call.moto()
    if b"ImageAlreadyExists" in response.get_data():
        return answer({})
    return response


def get_resources(account: Account, call: ApiCall) -> Response:
    """moto's index of tags lacks repositories, and has configurations by a wrong name."""
    response = call.moto()
    listed = json.loads(response.get_data())
    found = [
        one
        for one in listed["ResourceTagMappingList"]
        if ":endpoint-config" not in one["ResourceARN"]
    ]
    if not call.body.get("PaginationToken"):
        ecr = account.client("ecr")
        configs = account.sagemaker.endpoint_configs.values()
        prefix = f"arn:aws:sagemaker:{REGION}:{NUMBER}:endpoint-config"
        tagged = [(f"{prefix}/{one.endpoint_config_name}", one.tags) for one in configs]
        for one in ecr.describe_repositories()["repositories"]:
            tags = ecr.list_tags_for_resource(resourceArn=one["repositoryArn"])["tags"]
            tagged.append((one["repositoryArn"], tags))
        found += [
            {"ResourceARN": arn, "Tags": tags}
            for arn, tags in tagged
            if all(is_tagged(tags, one) for one in call.body.get("TagFilters", ()))
        ]
    return answer(listed | {"ResourceTagMappingList": found})


def is_tagged(tags: list[dict[str, str]], wanted: dict[str, Any]) -> bool:
    """Whether a filter of tags fits."""
    values = {one["Key"]: one["Value"] for one in tags}
    allowed = wanted.get("Values")
    return wanted["Key"] in values and (not allowed or values[wanted["Key"]] in allowed)


def invoke_stream(account: Account, call: ApiCall) -> Response:
    """The reply as one event of a stream."""
    reply = invoke(account, call)
    response = Response(event(reply.get_data()), mimetype="application/vnd.amazon.eventstream")
    response.headers["X-Amzn-SageMaker-Content-Type"] = str(reply.content_type)
    return response


def event(payload: bytes) -> bytes:
    """A PayloadPart in AWS's framing of events."""
    pairs = {":message-type": "event", ":event-type": "PayloadPart"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value))
        + value.encode()
        for name, value in pairs.items()
    )  # fmt: skip
    start = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    framed = start + struct.pack("!I", zlib.crc32(start)) + headers + payload
    return framed + struct.pack("!I", zlib.crc32(framed))


def delete_version(account: Account, call: ApiCall) -> Response:
    kept = account.sagemaker.model_packages
    name = call.body["ModelPackageName"]
    kept.pop(next(key for key, it in kept.items() if name in (key, it.arn)))
    return answer({})


def delete_group(account: Account, call: ApiCall) -> Response:
    account.sagemaker.model_package_groups.pop(call.body["ModelPackageGroupName"])
    return answer({})


def invoke(account: Account, call: ApiCall) -> Response:
    """moto's endpoint answers with a fixed text: here a server of ours does."""
    given = call.request.headers
    accept = given.get("X-Amzn-SageMaker-Accept") or given.get("Accept", "image/png")
    headers = {"Content-Type": given["Content-Type"], "Accept": accept}
    return drawn(account, call.request.get_data(), headers)


def drawn(account: Account, body: bytes, headers: dict[str, str]) -> Response:
    """The server's answer."""
    request = urllib.request.Request(f"{account.server}/invocations", body, headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        return Response(reply.read(), content_type=reply.headers["Content-Type"])


def invoke_later(account: Account, call: ApiCall) -> Response:
    """moto's answer is a fixed text, too."""
    bucket, _, key = call.request.headers["X-Amzn-SageMaker-InputLocation"].removeprefix(
        "s3://").partition("/")  # fmt: skip
    s3 = account.client("s3")
    put = s3.get_object(Bucket=bucket, Key=key)
    kinds = {"Content-Type": put["ContentType"]}
    kinds["Accept"] = call.request.headers["X-Amzn-SageMaker-Accept"]
    reply = drawn(account, put["Body"].read(), kinds)
    s3.put_object(Bucket=bucket, Key=f"{key}.out", Body=reply.get_data(),
                  ContentType=reply.content_type)  # fmt: skip
    response = answer({"InferenceId": "1"})
    response.status_code = 202
    response.headers["X-Amzn-SageMaker-OutputLocation"] = f"s3://{bucket}/{key}.out"
    return response


def list_quotas(account: Account, call: ApiCall) -> Response:
    uses = ("training job", "spot training job", "endpoint", "transform job")
    types = ("ml.g5.xlarge", "ml.c7i.large", "ml.m5.large")
    names = [f"{kind} for {use} usage" for kind in types for use in uses]
    return answer({"Quotas": [
        {"QuotaName": name, "QuotaCode": f"L-{number:08X}",
         "Value": 0.0 if "spot" in name else 4.0}
        for number, name in enumerate(names)
    ]})  # fmt: skip


def raise_quota(account: Account, call: ApiCall) -> Response:
    return answer({"RequestedQuota": {"Id": "1", "Status": "PENDING"}})


def get_products(account: Account, call: ApiCall) -> Response:
    kind = next(it["Value"] for it in call.body["Filters"] if it["Value"].startswith("ml."))
    dollars = {"unit": "Hrs", "pricePerUnit": {"USD": "1.41"}}
    listed = [
        {"product": {"attributes": {"usagetype": f"EU-{use}:{kind}"}},
         "terms": {"OnDemand": {"a": {"priceDimensions": {"b": dollars}}}}}
        for use in ("Train", "Host")
    ]  # fmt: skip
    return answer({"FormatVersion": "aws_v1", "PriceList": [json.dumps(it) for it in listed]})


def simulate(account: Account, call: ApiCall) -> Response:
    form = parse_qs(call.body.decode())
    actions = [values[0] for name, values in form.items() if name.startswith("ActionNames")]
    results = "".join(ALLOWED.format(action) for action in actions)
    text = f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"
    return Response(IAM.format("SimulatePrincipalPolicy", text), mimetype="text/xml")


def execute_change_set(account: Account, call: ApiCall) -> Response:
    """Complete the stack, of whose template moto cannot make API Gateway's and Lambda's parts."""
    from moto.cloudformation.models import cloudformation_backends

    backend = cloudformation_backends[NUMBER][REGION]
    form = {name: values[0] for name, values in parse_qs(call.body.decode()).items()}
    change = next(
        it for it in backend.change_sets.values() if it.change_set_name == form["ChangeSetName"]
    )
    stack = backend.stacks[change.stack_id]
    stack.status = f"{change.change_set_type}_COMPLETE"
    stack.template = change.template
    stack.parameters = {**stack.parameters, **change.parameters}
    stack._add_stack_event(stack.status)
    secret = "facegan-door-key"
    known = account.client("secretsmanager").list_secrets()["SecretList"]
    if not known:
        account.client("secretsmanager").create_secret(Name=secret, SecretString="open sesame")
    return Response(
        '<ExecuteChangeSetResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
        "<ExecuteChangeSetResult/></ExecuteChangeSetResponse>", mimetype="text/xml"
    )  # fmt: skip


def describe_stacks(account: Account, call: ApiCall) -> Response:
    response = call.moto()
    text = response.get_data(as_text=True)
    if "_COMPLETE</StackStatus>" not in text:
        return response
    outputs = {"Url": f"{account.url}/door", "KeySecret": "facegan-door-key", "Access": "key",
               "Endpoint": "faces", "Model": "faces"}  # fmt: skip
    members = "".join(
        f"<member><OutputKey>{k}</OutputKey><OutputValue>{v}</OutputValue></member>"
        for k, v in outputs.items()
    )
    marked = text.replace("<Outputs />", "").replace("<Outputs/>", "").replace(
        "<Outputs></Outputs>", "")  # fmt: skip
    response.set_data(marked.replace("<StackName>", f"<Outputs>{members}</Outputs><StackName>", 1))
    return response


def door(account: Account, call: ApiCall) -> Response:
    """What API Gateway and Lambda would do with GET /faces/7.png and the key."""
    if call.request.headers.get("x-api-key") != "open sesame":
        return Response('{"message": "Forbidden"}', 401)
    seed = int(Path(call.request.path).stem)
    order = json.dumps({"seeds": [seed]}).encode()
    return drawn(account, order, {"Content-Type": "application/json", "Accept": "image/png"})


# What moto (5.2) does not do, or does otherwise than AWS, by service and action. Besides, moto's
# list of instance types for endpoints ends before c7i and g6: every type is taken (Account).
GAPS: dict[tuple[str, str], tuple[Callable[[Account, ApiCall], Response], str]] = {
    ("sagemaker", "CreateTrainingJob"): (create_training_job, "leaves nothing; twice one name"),
    ("sagemaker", "DescribeTrainingJob"): (describe_training_job, "never runs; nulls"),
    ("sagemaker", "ListTrainingJobs"): (list_training_jobs, "does not filter by warm pools"),
    ("sagemaker", "StopTrainingJob"): (stop_training_job, "not there"),
    ("sagemaker", "DeleteTrainingJob"): (delete_training_job, "not there"),
    ("sagemaker", "CreateHyperParameterTuningJob"): (create_tuning_job, "no training jobs"),
    ("sagemaker", "DescribeHyperParameterTuningJob"): (describe_tuning_job, "another's best job"),
    ("sagemaker", "ListTrainingJobsForHyperParameterTuningJob"): (list_tuned, "not there"),
    ("sagemaker", "StopHyperParameterTuningJob"): (stop_tuning_job, "not there"),
    ("sagemaker", "Search"): (search, "knows no tuning jobs"),
    ("sagemaker", "UpdateEndpoint"): (update_endpoint, "not there"),
    ("sagemaker", "DeleteModelPackage"): (delete_version, "not there"),
    ("sagemaker", "DeleteModelPackageGroup"): (delete_group, "not there"),
    ("runtime", "InvokeEndpoint"): (invoke, "answers a fixed text"),
    ("runtime", "InvokeEndpointWithResponseStream"): (invoke_stream, "not there"),
    ("runtime", "InvokeEndpointAsync"): (invoke_later, "answers a fixed text"),
    ("sagemaker", "DescribeExperiment"): (describe_experiment, "500 where there is none"),
    ("sagemaker", "DescribeTrial"): (describe_experiment, "500 where there is none"),
    ("tagging", "GetResources"): (get_resources, "no repositories, wrong names of others"),
    ("ecr", "PutImage"): (put_image, "refuses what docker would not send"),
    ("servicequotas", "ListServiceQuotas"): (list_quotas, "none of SageMaker's"),
    ("servicequotas", "RequestServiceQuotaIncrease"): (raise_quota, "not there"),
    ("pricing", "GetProducts"): (get_products, "none of SageMaker's"),
    ("iam", "SimulatePrincipalPolicy"): (simulate, "not there"),
    ("cloudformation", "ExecuteChangeSet"): (execute_change_set, "cannot make the template"),
    ("cloudformation", "DescribeStacks"): (describe_stacks, "so no outputs"),
    ("door", "GET"): (door, "no API Gateway that runs"),
}
