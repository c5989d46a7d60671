"""Names of models, datasets, units, presets and protocols as strings: lists import nothing heavy.

A model of your own joins with `register("models", "my-model", "my_package.my_model:MyModel")`.
"""

import difflib
import importlib
from importlib import resources
from pathlib import Path
from typing import Any

from framecast.errors import ConfigError

MODELS: dict[str, str] = {
    "copy-last": "framecast.models.copy_last:CopyLast",
    "convlstm": "framecast.models.convlstm:ConvLSTM",
    "predrnn": "framecast.models.predrnn:PredRNN",
    "predrnn-pp": "framecast.models.predrnn_pp:PredRNNPP",
    "e3d-lstm": "framecast.models.e3d_lstm:E3DLSTM",
    "simvp": "framecast.models.simvp:SimVP",
    "s-hr-vqvae": "framecast.models.s_hr_vqvae.model:SHRVQVAE",
    "video-vqvae": "framecast.models.video_vqvae.model:VideoVQVAE",
    "unit-stack": "framecast.models.unit_stack:UnitStack",
    "stip": "framecast.models.stip.model:STIP",
    "haf-svg": "framecast.models.haf_svg.model:HAFSVG",
    "v3d-convlstm": "framecast.models.v3d_convlstm.model:V3DConvLSTM",
}

DATA: dict[str, str] = {
    "moving-digits": "framecast.data.moving_digits:MovingDigits",
    "moving-digits-file": "framecast.data.moving_digits_file:MovingDigitsFile",
    "kth": "framecast.data.kth:Kth",
    "ucf-sports": "framecast.data.ucf_sports:UcfSports",
    "human36m": "framecast.data.human36m:Human36m",
    "sjtu4k": "framecast.data.sjtu4k:Sjtu4k",
    "kinetics-600": "framecast.data.kinetics:Kinetics",
    "bair": "framecast.data.bair:Bair",
    "bridge": "framecast.data.bridge:Bridge",
    "video-folder": "framecast.data.video_folder:VideoFolder",
    "arrays": "framecast.data.arrays:Arrays",
}

UNITS: dict[str, str] = {
    "convlstm": "framecast.layers.recurrent.convlstm:ConvLSTMUnit",
    "convgru": "framecast.layers.recurrent.convgru:ConvGRUUnit",
    "trajgru": "framecast.layers.recurrent.trajgru:TrajGRUUnit",
    "dgru": "framecast.layers.recurrent.dgru:DGRUUnit",
    "causal-lstm": "framecast.layers.recurrent.causal_lstm:CausalLSTMUnit",
    "e3d-lstm": "framecast.layers.recurrent.e3d_lstm:E3DLSTMUnit",
    "reversible-pm": "framecast.layers.recurrent.reversible_pm:ReversiblePMUnit",
    "rpm": "framecast.layers.recurrent.rpm:RPMUnit",
    "stgru": "framecast.layers.recurrent.stgru:STGRUUnit",
}

PRESETS: dict[str, str] = {
    "convlstm/moving-mnist": "framecast.presets.convlstm:moving_mnist",
    "convlstm/moving-mnist-forecaster": "framecast.presets.convlstm:moving_mnist_forecaster",
    "convlstm/moving-mnist-small": "framecast.presets.convlstm:moving_mnist_small",
    "convlstm/kth": "framecast.presets.convlstm:kth",
    "convlstm/video-folder": "framecast.presets.convlstm:video_folder",
    "convlstm/arrays": "framecast.presets.convlstm:arrays",
    "convlstm/bridge": "framecast.presets.convlstm:bridge",
    "convlstm/tiny": "framecast.presets.convlstm:tiny",
    "predrnn/moving-mnist": "framecast.presets.predrnn:moving_mnist",
    "predrnn/moving-mnist-reverse": "framecast.presets.predrnn:moving_mnist_reverse",
    "predrnn/moving-mnist-small": "framecast.presets.predrnn:moving_mnist_small",
    "predrnn/kth": "framecast.presets.predrnn:kth",
    "predrnn/video-folder": "framecast.presets.predrnn:video_folder",
    "predrnn/tiny": "framecast.presets.predrnn:tiny",
    "predrnn-pp/moving-mnist": "framecast.presets.predrnn_pp:moving_mnist",
    "predrnn-pp/moving-mnist-small": "framecast.presets.predrnn_pp:moving_mnist_small",
    "predrnn-pp/kth": "framecast.presets.predrnn_pp:kth",
    "predrnn-pp/video-folder": "framecast.presets.predrnn_pp:video_folder",
    "predrnn-pp/tiny": "framecast.presets.predrnn_pp:tiny",
    "e3d-lstm/moving-mnist": "framecast.presets.e3d_lstm:moving_mnist",
    "e3d-lstm/moving-mnist-small": "framecast.presets.e3d_lstm:moving_mnist_small",
    "e3d-lstm/kth": "framecast.presets.e3d_lstm:kth",
    "e3d-lstm/video-folder": "framecast.presets.e3d_lstm:video_folder",
    "e3d-lstm/tiny": "framecast.presets.e3d_lstm:tiny",
    "simvp/moving-mnist": "framecast.presets.simvp:moving_mnist",
    "simvp/moving-mnist-inception": "framecast.presets.simvp:moving_mnist_inception",
    "simvp/kth": "framecast.presets.simvp:kth",
    "simvp/kth-inception": "framecast.presets.simvp:kth_inception",
    "simvp/moving-mnist-small": "framecast.presets.simvp:moving_mnist_small",
    "simvp/video-folder": "framecast.presets.simvp:video_folder",
    "simvp/tiny": "framecast.presets.simvp:tiny",
    "s-hr-vqvae/moving-mnist": "framecast.presets.s_hr_vqvae:moving_mnist",
    "s-hr-vqvae/moving-mnist-1": "framecast.presets.s_hr_vqvae:moving_mnist_1",
    "s-hr-vqvae/moving-mnist-6": "framecast.presets.s_hr_vqvae:moving_mnist_6",
    "s-hr-vqvae/moving-mnist-joint": "framecast.presets.s_hr_vqvae:moving_mnist_joint",
    "s-hr-vqvae/moving-mnist-pixels": "framecast.presets.s_hr_vqvae:moving_mnist_pixels",
    "s-hr-vqvae/moving-mnist-cpu": "framecast.presets.s_hr_vqvae:moving_mnist_cpu",
    "s-hr-vqvae/kth": "framecast.presets.s_hr_vqvae:kth",
    "s-hr-vqvae/kth-1": "framecast.presets.s_hr_vqvae:kth_1",
    "s-hr-vqvae/kth-9": "framecast.presets.s_hr_vqvae:kth_9",
    "s-hr-vqvae/kth-joint": "framecast.presets.s_hr_vqvae:kth_joint",
    "s-hr-vqvae/video-folder": "framecast.presets.s_hr_vqvae:video_folder",
    "s-hr-vqvae/tiny": "framecast.presets.s_hr_vqvae:tiny",
    "s-hr-vqvae/tiny-1": "framecast.presets.s_hr_vqvae:tiny_1",
    "s-hr-vqvae/tiny-6": "framecast.presets.s_hr_vqvae:tiny_6",
    "s-hr-vqvae/tiny-pixels": "framecast.presets.s_hr_vqvae:tiny_pixels",
    "stip/ucf-sports": "framecast.presets.stip:ucf_sports",
    "stip/ucf-sports-mse": "framecast.presets.stip:ucf_sports_mse",
    "stip/ucf-sports-gan": "framecast.presets.stip:ucf_sports_gan",
    "stip/ucf-sports-plain": "framecast.presets.stip:ucf_sports_plain",
    "stip/ucf-sports-sted": "framecast.presets.stip:ucf_sports_sted",
    "stip/ucf-sports-mgir": "framecast.presets.stip:ucf_sports_mgir",
    "stip/human36m": "framecast.presets.stip:human36m",
    "stip/human36m-mse": "framecast.presets.stip:human36m_mse",
    "stip/human36m-gan": "framecast.presets.stip:human36m_gan",
    "stip/human36m-plain": "framecast.presets.stip:human36m_plain",
    "stip/human36m-sted": "framecast.presets.stip:human36m_sted",
    "stip/human36m-mgir": "framecast.presets.stip:human36m_mgir",
    "stip/sjtu4k": "framecast.presets.stip:sjtu4k",
    "stip/sjtu4k-mse": "framecast.presets.stip:sjtu4k_mse",
    "stip/sjtu4k-gan": "framecast.presets.stip:sjtu4k_gan",
    "stip/sjtu4k-plain": "framecast.presets.stip:sjtu4k_plain",
    "stip/sjtu4k-sted": "framecast.presets.stip:sjtu4k_sted",
    "stip/sjtu4k-mgir": "framecast.presets.stip:sjtu4k_mgir",
    "stip/moving-mnist": "framecast.presets.stip:moving_mnist",
    "stip/video-folder": "framecast.presets.stip:video_folder",
    "stip/video-folder-gan": "framecast.presets.stip:video_folder_gan",
    "stip/video-folder-lp": "framecast.presets.stip:video_folder_lp",
    "stip/tiny": "framecast.presets.stip:tiny",
    "haf-svg/moving-mnist-2-svg-lp": "framecast.presets.haf_svg:moving_mnist_2_svg_lp",
    "haf-svg/moving-mnist-2-h-svg": "framecast.presets.haf_svg:moving_mnist_2_h_svg",
    "haf-svg/moving-mnist-2-haf-svg-1": "framecast.presets.haf_svg:moving_mnist_2_haf_svg_1",
    "haf-svg/moving-mnist-2-haf-svg-2": "framecast.presets.haf_svg:moving_mnist_2_haf_svg_2",
    "haf-svg/moving-mnist-2-haf-svg-4": "framecast.presets.haf_svg:moving_mnist_2_haf_svg_4",
    "haf-svg/moving-mnist-3-svg-lp": "framecast.presets.haf_svg:moving_mnist_3_svg_lp",
    "haf-svg/moving-mnist-3-h-svg": "framecast.presets.haf_svg:moving_mnist_3_h_svg",
    "haf-svg/moving-mnist-3-haf-svg-1": "framecast.presets.haf_svg:moving_mnist_3_haf_svg_1",
    "haf-svg/moving-mnist-3-haf-svg-2": "framecast.presets.haf_svg:moving_mnist_3_haf_svg_2",
    "haf-svg/moving-mnist-3-haf-svg-4": "framecast.presets.haf_svg:moving_mnist_3_haf_svg_4",
    "haf-svg/stochastic-moving-mnist-2-svg-lp": "framecast.presets.haf_svg:random_2_svg_lp",
    "haf-svg/stochastic-moving-mnist-2-h-svg": "framecast.presets.haf_svg:random_2_h_svg",
    "haf-svg/stochastic-moving-mnist-2-haf-svg-1": "framecast.presets.haf_svg:random_2_haf_svg_1",
    "haf-svg/stochastic-moving-mnist-2-haf-svg-2": "framecast.presets.haf_svg:random_2_haf_svg_2",
    "haf-svg/stochastic-moving-mnist-2-haf-svg-4": "framecast.presets.haf_svg:random_2_haf_svg_4",
    "haf-svg/stochastic-moving-mnist-3-svg-lp": "framecast.presets.haf_svg:random_3_svg_lp",
    "haf-svg/stochastic-moving-mnist-3-h-svg": "framecast.presets.haf_svg:random_3_h_svg",
    "haf-svg/stochastic-moving-mnist-3-haf-svg-1": "framecast.presets.haf_svg:random_3_haf_svg_1",
    "haf-svg/stochastic-moving-mnist-3-haf-svg-2": "framecast.presets.haf_svg:random_3_haf_svg_2",
    "haf-svg/stochastic-moving-mnist-3-haf-svg-4": "framecast.presets.haf_svg:random_3_haf_svg_4",
    "haf-svg/kth-svg-lp": "framecast.presets.haf_svg:kth_svg_lp",
    "haf-svg/kth-h-svg": "framecast.presets.haf_svg:kth_h_svg",
    "haf-svg/kth-haf-svg-1": "framecast.presets.haf_svg:kth_haf_svg_1",
    "haf-svg/kth-haf-svg-2": "framecast.presets.haf_svg:kth_haf_svg_2",
    "haf-svg/kth-haf-svg-4": "framecast.presets.haf_svg:kth_haf_svg_4",
    "haf-svg/bair-svg-lp": "framecast.presets.haf_svg:bair_svg_lp",
    "haf-svg/bair-h-svg": "framecast.presets.haf_svg:bair_h_svg",
    "haf-svg/bair-haf-svg-1": "framecast.presets.haf_svg:bair_haf_svg_1",
    "haf-svg/bair-haf-svg-2": "framecast.presets.haf_svg:bair_haf_svg_2",
    "haf-svg/bair-haf-svg-4": "framecast.presets.haf_svg:bair_haf_svg_4",
    "haf-svg/moving-mnist-small": "framecast.presets.haf_svg:moving_mnist_small",
    "haf-svg/moving-mnist-small-svg-lp": "framecast.presets.haf_svg:small_svg_lp",
    "haf-svg/moving-mnist-small-h-svg": "framecast.presets.haf_svg:small_h_svg",
    "haf-svg/moving-mnist-small-haf-svg-1": "framecast.presets.haf_svg:small_haf_svg_1",
    "haf-svg/moving-mnist-small-haf-svg-4": "framecast.presets.haf_svg:small_haf_svg_4",
    "haf-svg/video-folder": "framecast.presets.haf_svg:video_folder",
    "haf-svg/tiny": "framecast.presets.haf_svg:tiny",
    "video-vqvae/paper": "framecast.presets.video_vqvae:paper",
    "video-vqvae/64": "framecast.presets.video_vqvae:paper_64",
    "video-vqvae/moving-mnist": "framecast.presets.video_vqvae:moving_mnist",
    "video-vqvae/bridge": "framecast.presets.video_vqvae:bridge",
    "video-vqvae/moving-mnist-small": "framecast.presets.video_vqvae:moving_mnist_small",
    "video-vqvae/video-folder": "framecast.presets.video_vqvae:video_folder",
    "video-vqvae/tiny": "framecast.presets.video_vqvae:tiny",
    "v3d-convlstm/moving-mnist": "framecast.presets.v3d_convlstm:moving_mnist",
    "v3d-convlstm/moving-mnist-5": "framecast.presets.v3d_convlstm:moving_mnist_5",
    "v3d-convlstm/moving-mnist-kl": "framecast.presets.v3d_convlstm:moving_mnist_kl",
    "v3d-convlstm/moving-mnist-vrnn-2d": "framecast.presets.v3d_convlstm:moving_mnist_vrnn_2d",
    "v3d-convlstm/moving-mnist-convlstm-2d": "framecast.presets.v3d_convlstm:moving_mnist_plain_2d",
    "v3d-convlstm/moving-mnist-m2-h1": "framecast.presets.v3d_convlstm:moving_mnist_m2_h1",
    "v3d-convlstm/moving-mnist-m4-h2": "framecast.presets.v3d_convlstm:moving_mnist_m4_h2",
    "v3d-convlstm/moving-mnist-m4-h4": "framecast.presets.v3d_convlstm:moving_mnist_m4_h4",
    "v3d-convlstm/moving-mnist-m8-h1": "framecast.presets.v3d_convlstm:moving_mnist_m8_h1",
    "v3d-convlstm/moving-mnist-m8-h4": "framecast.presets.v3d_convlstm:moving_mnist_m8_h4",
    "v3d-convlstm/moving-mnist-m8-h8": "framecast.presets.v3d_convlstm:moving_mnist_m8_h8",
    "v3d-convlstm/kth": "framecast.presets.v3d_convlstm:kth",
    "v3d-convlstm/kth-vrnn-2d": "framecast.presets.v3d_convlstm:kth_vrnn_2d",
    "v3d-convlstm/kth-m2-h1": "framecast.presets.v3d_convlstm:kth_m2_h1",
    "v3d-convlstm/kth-m4-h2": "framecast.presets.v3d_convlstm:kth_m4_h2",
    "v3d-convlstm/kth-m4-h4": "framecast.presets.v3d_convlstm:kth_m4_h4",
    "v3d-convlstm/kth-m8-h1": "framecast.presets.v3d_convlstm:kth_m8_h1",
    "v3d-convlstm/kth-m8-h4": "framecast.presets.v3d_convlstm:kth_m8_h4",
    "v3d-convlstm/kth-m8-h8": "framecast.presets.v3d_convlstm:kth_m8_h8",
    "v3d-convlstm/moving-mnist-small": "framecast.presets.v3d_convlstm:small",
    "v3d-convlstm/moving-mnist-small-kl": "framecast.presets.v3d_convlstm:small_kl",
    "v3d-convlstm/moving-mnist-small-vrnn-2d": "framecast.presets.v3d_convlstm:small_vrnn_2d",
    "v3d-convlstm/moving-mnist-small-convlstm-2d": "framecast.presets.v3d_convlstm:small_plain_2d",
    "v3d-convlstm/video-folder": "framecast.presets.v3d_convlstm:video_folder",
    "v3d-convlstm/tiny": "framecast.presets.v3d_convlstm:tiny",
    "unit-stack/human36m-convgru": "framecast.presets.unit_stack:human36m_convgru",
    "unit-stack/human36m-trajgru": "framecast.presets.unit_stack:human36m_trajgru",
    "unit-stack/human36m-dgru": "framecast.presets.unit_stack:human36m_dgru",
    "unit-stack/human36m-causal-lstm": "framecast.presets.unit_stack:human36m_causal_lstm",
    "unit-stack/human36m-e3d-lstm": "framecast.presets.unit_stack:human36m_e3d_lstm",
    "unit-stack/human36m-reversible-pm": "framecast.presets.unit_stack:human36m_reversible_pm",
    "unit-stack/human36m-rpm": "framecast.presets.unit_stack:human36m_rpm",
    "unit-stack/human36m-stgru": "framecast.presets.unit_stack:human36m_stgru",
    "unit-stack/tiny-convlstm": "framecast.presets.unit_stack:tiny_convlstm",
    "unit-stack/tiny-convgru": "framecast.presets.unit_stack:tiny_convgru",
    "unit-stack/tiny-trajgru": "framecast.presets.unit_stack:tiny_trajgru",
    "unit-stack/tiny-dgru": "framecast.presets.unit_stack:tiny_dgru",
    "unit-stack/tiny-causal-lstm": "framecast.presets.unit_stack:tiny_causal_lstm",
    "unit-stack/tiny-e3d-lstm": "framecast.presets.unit_stack:tiny_e3d_lstm",
    "unit-stack/tiny-reversible-pm": "framecast.presets.unit_stack:tiny_reversible_pm",
    "unit-stack/tiny-rpm": "framecast.presets.unit_stack:tiny_rpm",
    "unit-stack/tiny-stgru": "framecast.presets.unit_stack:tiny_stgru",
}

PROTOCOLS: dict[str, str] = {
    "moving-mnist/10-10": "framecast.evaluation.protocols:moving_mnist_10_10",
    "moving-mnist/5-10": "framecast.evaluation.protocols:moving_mnist_5_10",
    "moving-mnist/5-15": "framecast.evaluation.protocols:moving_mnist_5_15",
    "moving-mnist/10-20": "framecast.evaluation.protocols:moving_mnist_10_20",
    "moving-mnist/4-12": "framecast.evaluation.protocols:moving_mnist_4_12",
    "moving-mnist/10-10@s-hr": "framecast.evaluation.protocols:moving_mnist_10_10_s_hr",
    "moving-mnist/10-10@v3d": "framecast.evaluation.protocols:moving_mnist_10_10_v3d",
    "moving-mnist/5-10@v3d": "framecast.evaluation.protocols:moving_mnist_5_10_v3d",
    "moving-mnist/5-15@v3d": "framecast.evaluation.protocols:moving_mnist_5_15_v3d",
    "moving-mnist/10-20@v3d": "framecast.evaluation.protocols:moving_mnist_10_20_v3d",
    "moving-mnist-2/5-25": "framecast.evaluation.protocols:moving_mnist_2_5_25",
    "moving-mnist-3/5-25": "framecast.evaluation.protocols:moving_mnist_3_5_25",
    "stochastic-moving-mnist/5-25": "framecast.evaluation.protocols:stochastic_2_5_25",
    "stochastic-moving-mnist-3/5-25": "framecast.evaluation.protocols:stochastic_3_5_25",
    "moving-mnist-file/10-10": "framecast.evaluation.protocols:moving_mnist_file_10_10",
    "glyphs/10-10": "framecast.evaluation.protocols:glyphs_10_10",
    "glyphs/5-5": "framecast.evaluation.protocols:glyphs_5_5",
    "glyphs/5-5@10-samples": "framecast.evaluation.protocols:glyphs_5_5_samples",
    "stochastic-glyphs/5-10": "framecast.evaluation.protocols:stochastic_glyphs_5_10",
    "kth/10-20": "framecast.evaluation.protocols:kth_10_20",
    "kth/10-40": "framecast.evaluation.protocols:kth_10_40",
    "kth/10-60": "framecast.evaluation.protocols:kth_10_60",
    "kth/10-20@v3d": "framecast.evaluation.protocols:kth_10_20_v3d",
    "kth/10-40@v3d": "framecast.evaluation.protocols:kth_10_40_v3d",
    "kth/10-60@v3d": "framecast.evaluation.protocols:kth_10_60_v3d",
    "kth/10-20@svg": "framecast.evaluation.protocols:kth_10_20_svg",
    "bair/2-28": "framecast.evaluation.protocols:bair_2_28",
    "ucf-sports/4-6": "framecast.evaluation.stip_protocols:ucf_sports_4_6",
    "ucf-sports/4-1": "framecast.evaluation.stip_protocols:ucf_sports_4_1",
    "ucf-sports/4-6@published": "framecast.evaluation.stip_protocols:ucf_sports_4_6_published",
    "ucf-sports/4-1@published": "framecast.evaluation.stip_protocols:ucf_sports_4_1_published",
    "human36m/4-4": "framecast.evaluation.stip_protocols:human36m_4_4",
    "human36m/4-1": "framecast.evaluation.stip_protocols:human36m_4_1",
    "human36m/4-4@published": "framecast.evaluation.stip_protocols:human36m_4_4_published",
    "human36m/4-1@published": "framecast.evaluation.stip_protocols:human36m_4_1_published",
    "sjtu4k/4-4": "framecast.evaluation.stip_protocols:sjtu4k_4_4",
    "sjtu4k/4-1": "framecast.evaluation.stip_protocols:sjtu4k_4_1",
    "kinetics-600/4-12": "framecast.evaluation.kinetics_protocols:kinetics_600_4_12",
    "kinetics-600/fvd-64": "framecast.evaluation.kinetics_protocols:kinetics_600_fvd_64",
    "video-folder": "framecast.evaluation.protocols:video_folder",
    "arrays": "framecast.evaluation.protocols:arrays",
    "bridge": "framecast.evaluation.protocols:bridge",
}

_TABLES = {
    "models": MODELS,
    "data": DATA,
    "units": UNITS,
    "presets": PRESETS,
    "protocols": PROTOCOLS,
}
_KINDS = {
    "models": ("model", "framecast models"),
    "data": ("dataset", "framecast data"),
    "units": ("unit", "framecast models --units"),
    "presets": ("preset", "framecast presets"),
    "protocols": ("protocol", "framecast protocols"),
}
"""What one of a kind is called, and the command that lists all of them."""

MANY = 20
"""From so many names on, a message names the command that lists them instead."""


def names(kind: str) -> list[str]:
    """Registered names of a kind (`models`, `data`, `units`, `presets` …), in their order."""
    return list(_TABLES[kind])


def register(kind: str, name: str, target: str) -> None:
    """Add a name: `target` is `module:attribute`, imported when first asked for.

    Raises:
        ConfigError: if the name stands for something else already.
    """
    table = _TABLES[kind]
    if table.get(name, target) != target:
        raise ConfigError(f"the name {name!r} is taken in {kind} by {table[name]}")
    table[name] = target


def find(kind: str, name: str) -> Any:
    """Import what a name stands for.

    Raises:
        ConfigError: if nothing has that name: one line with the nearest names.
    """
    module, _, attribute = target(kind, name).partition(":")
    return getattr(importlib.import_module(module), attribute)


def target(kind: str, name: str) -> str:
    """What a name stands for, as `module:attribute`.

    Raises:
        ConfigError: as `find`.
    """
    table = _TABLES[kind]
    if name not in table:
        noun, command = _KINDS[kind]
        raise ConfigError(f"there is no {noun} {name!r}; {suggest(name, table, command)}")
    return table[name]


def shipped() -> dict[str, Path]:
    """Names and folders of the models that come with the package."""
    base = Path(str(resources.files("framecast"))) / "shipped"
    found = sorted(path.parent for path in base.glob("*/*/manifest.json"))
    return {path.relative_to(base).as_posix(): path for path in found}


def suggest(name: str, known: Any, command: str | None = None) -> str:
    """`did you mean 'x'?` with the nearest known names, or a list of all of them.

    Of many names the list is left to the command that prints it, where there is one.
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    if command is not None and len(known) >= MANY:
        return f"{command} lists all {len(known)}"
    return "known: " + ", ".join(sorted(known)) if known else "there are none"
