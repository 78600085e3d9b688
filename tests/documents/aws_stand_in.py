"""`aws SERVICE ACTION --name value …` by boto3, for tests of documents: CI has no AWS CLI.

A command is held against botocore's model of its service, from which the CLI itself is made.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import boto3
import jmespath
from botocore import xform_name

GLOBAL = ("query", "output", "region", "profile")  # the CLI's own options


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")


def member_of(shape: Any, option: str) -> Any:
    """The member of a request that an option names."""
    for name, member in shape.members.items():
        if xform_name(name, "-") == option:
            return name, member
    raise SystemExit(f"Unknown options: --{option}")


def value_of(shape: Any, words: list[str]) -> Any:
    """An option's words as the API takes them: JSON, Key=Value pairs, or plain."""
    text = words[0] if words else ""
    if text.startswith("file://"):
        text = Path(text.removeprefix("file://")).read_text()
    if shape.type_name in ("structure", "map", "list") and text[:1] in ("{", "["):
        return json.loads(text)
    if shape.type_name == "list":
        return [value_of(shape.member, [word]) for word in words]
    if shape.type_name == "structure":
        pairs = [pair.split("=", 1) for pair in text.split(",")]
        return {name: value_of(shape.members[name], [value]) for name, value in pairs}
    if shape.type_name in ("integer", "long"):
        return int(text)
    if shape.type_name in ("double", "float"):
        return float(text)
    return text if shape.type_name == "string" else True


def options_of(words: list[str]) -> dict[str, list[str]]:
    """Each option with its words."""
    found: dict[str, list[str]] = {}
    last: list[str] | None = None
    for word in words:
        if word.startswith("--"):
            last = found.setdefault(word[2:], [])
        elif last is None:
            raise SystemExit(f"aws: what is {word!r}?")
        else:
            last.append(word)
    return found


def s3(words: list[str]) -> None:
    """What documents and hints have of `aws s3`: cp from a pipe, ls, sync of a folder, rm."""
    if words == ["ls"]:
        say("\n".join(it["Name"] for it in boto3.client("s3").list_buckets()["Buckets"]))
        return
    places = [re.fullmatch(r"s3://([^/]+)/(.*)", word) for word in words]
    place = next(found for found in places if found)
    client = boto3.client("s3")
    if words[0] == "cp" and words[1] == "-":
        client.put_object(Bucket=place[1], Key=place[2], Body=sys.stdin.buffer.read())
    elif words[0] == "ls":
        for one in client.list_objects_v2(Bucket=place[1], Prefix=place[2]).get("Contents", []):
            say(one["Key"])
    elif words[0] == "sync":
        for file in (it for it in Path(words[1]).rglob("*") if it.is_file()):
            key = f"{place[2]}/{file.relative_to(words[1])}"
            client.put_object(Bucket=place[1], Key=key, Body=file.read_bytes())
    elif words[0] == "rm" and "--recursive" in words:
        listed = client.list_objects_v2(Bucket=place[1], Prefix=place[2]).get("Contents", [])
        for one in listed:
            client.delete_object(Bucket=place[1], Key=one["Key"])
    else:
        raise SystemExit(f"aws s3 {' '.join(words)}: not known to this stand-in")


def main(words: list[str]) -> None:
    """Carry out a command line."""
    service, action, *rest = words
    if service == "s3":
        s3([action, *rest])
        return
    given = options_of(rest)
    own = {name: given.pop(name)[0] for name in GLOBAL if name in given}
    client = boto3.client("s3" if service == "s3api" else service, region_name=own.get("region"))
    actions = {xform_name(name, "-"): name for name in client.meta.service_model.operation_names}
    if action not in actions:
        raise SystemExit(f"aws: {service} has no {action}")
    shape = client.meta.service_model.operation_model(actions[action]).input_shape
    request = {}
    for option, texts in given.items():
        name, member = member_of(shape, option)
        request[name] = value_of(member, texts)
    answer = getattr(client, xform_name(actions[action]))(**request)
    answer.pop("ResponseMetadata", None)
    if "query" in own:
        answer = jmespath.search(own["query"], answer)
    is_text = own.get("output") == "text"
    if answer:
        say(str(answer) if is_text else json.dumps(answer, indent=4, default=str))


if __name__ == "__main__":
    main(sys.argv[1:])
