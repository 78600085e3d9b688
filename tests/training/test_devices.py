"""Steps and forward passes keep their tensors on one device, tested without a GPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from example_data import a_batch, network_inputs
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from facegan.data import ImageFolderDataset
from facegan.errors import ConfigError
from facegan.gans import Gan
from facegan.training import Trainer, TrainingConfig, compiled
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.precision import choose_device

Build = Callable[..., Gan]
CONFIG = TrainingConfig(total_kimg=0.08, batch_size=8, precision="fp32", tick_kimg=0.04)


def test_every_tensor_of_a_step_is_on_the_trainers_device(
    family: str, tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    """``meta`` computes nothing, and refuses a tensor made on the CPU by mistake."""
    policy = "color,translation,blit,geom,recolor,cutout"
    augmented = {"augment": policy, "augment_probability": "adaptive"}
    config = CONFIG.model_copy(update={"device": "meta", **augmented})
    trainer = Trainer(tiny_gan(family), dataset, config)
    trainer.step()
    assert trainer.images_seen == 8
    for player in trainer.gan.players.values():
        assert all(p.device.type == "meta" for p in player.parameters())


class ByOperations(TorchFunctionMode):
    """Replaces methods whose C++ needs CUDA by plain operations."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        if func is Tensor.__getitem__:
            return index(*args)
        if func is Tensor.contiguous:
            return torch.ops.aten.clone(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def index(x: Tensor, key: Any) -> Tensor:
    """Return x[key] for integers, slices, None and one ellipsis."""
    keys = key if isinstance(key, tuple) else (key,)
    if ... in keys:
        at, named = keys.index(...), sum(k is not None for k in keys) - 1
        keys = keys[:at] + (slice(None),) * (x.dim() - named) + keys[at + 1 :]
    dimension = 0
    for k in keys:
        if isinstance(k, int):
            x = x.select(dimension, k)
            continue
        if k is None:
            x = x.unsqueeze(dimension)
        else:
            x = torch.ops.aten.slice(x, dimension, k.start, k.stop, k.step or 1)
        dimension += 1
    return x


def on_fake_cuda(module: nn.Module, *inputs: Tensor) -> Tensor:
    """Run a forward pass with every parameter and buffer on a fake CUDA device."""
    state = {
        name: torch.empty(value.shape, dtype=value.dtype, device="cuda")
        for name, value in (*module.named_parameters(), *module.named_buffers())
    }
    out: Tensor = functional_call(module, state, inputs)
    return out


def test_networks_on_cuda_make_no_tensor_elsewhere(family: str, tiny_gan: Build) -> None:
    gan = tiny_gan(family)
    for name, inputs in player_inputs(gan).items():
        player = gan.players[name].eval()
        expected = tree_leaves(player(*inputs))
        with FakeTensorMode(), torch.no_grad(), ByOperations():
            given = [torch.empty(x.shape, dtype=x.dtype, device="cuda") for x in inputs]
            found = tree_leaves(on_fake_cuda(player, *given))
        assert {out.device.type for out in found} == {"cuda"}, name
        assert [out.shape for out in found] == [out.shape for out in expected], name


def player_inputs(gan: Gan) -> dict[str, tuple[Tensor, ...]]:
    """Return what a step's losses give to each player."""
    inputs: dict[str, tuple[Tensor, ...]] = {}
    hooks = [
        player.register_forward_pre_hook(lambda _, given, name=name: inputs.update({name: given}))
        for name, player in gan.players.items()
    ]
    batch = a_batch(gan, 4)
    for phase in gan.family.phases(gan.preset):
        phase.loss(gan, batch)
    for hook in hooks:
        hook.remove()
    # stylegan2's losses call its generator's parts.
    inputs.setdefault(gan.family.generators[0], tuple(network_inputs(gan)))
    return {
        name: tuple(x.detach() for x in given if x is not None) for name, given in inputs.items()
    }


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_a_gpu_gets_an_index(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.cuda.set_device refuses a device without an index."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with FakeTensorMode():
        device = choose_device(name)
    assert (device.type, device.index) == ("cuda", 1 if name == "cuda:1" else 0)


@pytest.mark.parametrize(("name", "index"), [("auto", 1), ("cuda", 1), ("cuda:0", 0)])
def test_each_process_has_a_gpu_of_its_own(
    name: str, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with FakeTensorMode():
        assert choose_device(name, ProcessGroup(rank=3, size=4, local_rank=1)).index == index


def test_a_tensor_left_on_the_cpu_is_noticed() -> None:
    """The check above can fail."""

    class Forgetful(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.zeros(4, 1)

    with FakeTensorMode(), torch.no_grad(), pytest.raises(RuntimeError, match="device"):
        on_fake_cuda(Forgetful(), torch.empty(4, 3, device="cuda"))


def test_compiled_networks_train_to_the_same_weights(
    family: str, tiny_gan: Build, dataset: ImageFolderDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of torch.compile except its C++ compilation, which takes a minute."""
    compiled_calls: list[str] = []

    def compile_without_cpp(player: nn.Module, mode: str) -> None:
        compiled_calls.append(mode)
        player._compiled_call_impl = torch.compile(player._call_impl, backend="aot_eager")

    monkeypatch.setattr(nn.Module, "compile", compile_without_cpp)
    plain, quick = (
        Trainer(tiny_gan(family), dataset, CONFIG.model_copy(update={"compile": wish}))
        for wish in ("off", "on")
    )
    for trainer in (plain, quick):
        trainer.step()
    # stylegan2's synthesis is called on its own too
    assert compiled_calls == ["default"] * (len(plain.gan.players) + (family == "stylegan2"))
    states = plain.state()[0], quick.state()[0]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=1e-3, msg=name)


def test_no_network_has_graph_breaks(family: str, tiny_gan: Build) -> None:
    """`fullgraph` refuses graph breaks."""
    gan = tiny_gan(family)
    for name, inputs in player_inputs(gan).items():
        module = gan.players[name]
        if family == "stylegan2" and name == "generator":  # styles are mixed outside its forward
            module, inputs = module.get_submodule("synthesis"), (torch.randn(4, 8, 16),)
        out = torch.compile(module, backend="eager", fullgraph=True)(*inputs)
        torch.stack([leaf.sum() for leaf in tree_leaves(out)]).sum().backward()


@pytest.mark.parametrize(
    ("device", "found", "triton", "missing"),
    [
        ("cpu", (), True, "C[+][+] compiler"),
        ("cpu", ("gcc",), True, "C[+][+] compiler"),
        ("cuda", ("gcc",), False, "Triton"),
        ("cuda", ("g++",), True, "a C compiler, and neither gcc nor clang"),
        ("cuda", ("gcc",), True, "Python.h"),
    ],
)
def test_compiling_without_its_compiler_is_refused(
    device: str,
    found: tuple[str, ...],
    triton: bool,
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(compiled.shutil, "which", lambda name: name if name in found else None)
    monkeypatch.setattr(compiled, "find_spec", lambda name: triton or None)
    monkeypatch.setattr(compiled.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ConfigError, match=missing) as refused:
        compiled.check_compilers(torch.device(device))
    assert "--compile off" in str(refused.value.hint)


def test_with_all_of_it_compiling_is_not_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(compiled.shutil, "which", lambda name: name == "clang" or None)
    monkeypatch.setattr(compiled, "find_spec", lambda name: True)
    monkeypatch.setattr(compiled.sysconfig, "get_path", lambda name: str(tmp_path))
    compiled.check_compilers(torch.device("cuda"))


def test_cuda_graphs_without_cuda_are_refused(tiny_gan: Build, dataset: ImageFolderDataset) -> None:
    with pytest.raises(ConfigError, match="CUDA graphs need a CUDA device"):
        Trainer(tiny_gan(), dataset, CONFIG.model_copy(update={"compile": "cuda-graphs"}))


def resident_bytes() -> int:
    """Return this process's resident memory."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096


def test_memory_does_not_grow_over_800_steps(tiny_gan: Build, dataset: ImageFolderDataset) -> None:
    torch.set_num_threads(1)  # a small network gains nothing from two
    config = CONFIG.model_copy(update={"total_kimg": 1.6, "tick_kimg": 0.08, "batch_size": 2})
    at: list[int] = []
    trainer = Trainer(
        tiny_gan(), dataset, config, on_tick=lambda *args: at.append(resident_bytes())
    )
    trainer.run()
    assert trainer.images_seen == 2 * 800 and len(at) == 20
    grown = at[-1] - at[4]  # after the allocators have warmed up
    assert grown < 800 * 1024, f"{grown} bytes in 600 steps"
