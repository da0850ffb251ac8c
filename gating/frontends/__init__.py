"""Serial bytes <-> sample blocks, one file per ECG box: a decoder for the gate and an encoder for the simulated box."""

from collections.abc import Mapping
from types import MappingProxyType

from gating.frontends import ad8232, cyton, healthypi6
from gating.frontends.frontend import Declaration, Decoder, DecoderFaults, Encoder, Frontend, SampleBlock

FRONTENDS: Mapping[str, Frontend] = MappingProxyType(
    {one.declaration.name: one for one in (healthypi6.FRONTEND, cyton.FRONTEND, ad8232.FRONTEND)}
)

__all__ = ["FRONTENDS", "Declaration", "Decoder", "DecoderFaults", "Encoder", "Frontend", "SampleBlock"]
