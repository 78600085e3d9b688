"""Reads, checks and packs a model's files, without torch, which servers may not have."""

from facegan.model_files.card import (
    CARD_NAME,
    ENCODER,
    GENERATOR_GRAPH,
    MAPPING_GRAPH,
    OWN_CODE,
    SYNTHESIS_GRAPH,
    WEIGHTS_NAME,
    GraphFacts,
    ModelCard,
    parse_card,
)
from facegan.model_files.folder import (
    copy_artifact,
    digest_of,
    map_files,
    pack_artifact,
    read_card,
    read_file,
    read_files,
    read_weights_header,
    write,
)
from facegan.model_files.graph_check import CheckedGraph, check_graphs
from facegan.model_files.weights import WeightsHeader

__all__ = [
    "CARD_NAME",
    "ENCODER",
    "GENERATOR_GRAPH",
    "MAPPING_GRAPH",
    "OWN_CODE",
    "SYNTHESIS_GRAPH",
    "WEIGHTS_NAME",
    "CheckedGraph",
    "GraphFacts",
    "ModelCard",
    "WeightsHeader",
    "check_graphs",
    "copy_artifact",
    "digest_of",
    "map_files",
    "pack_artifact",
    "parse_card",
    "read_card",
    "read_file",
    "read_files",
    "read_weights_header",
    "write",
]
