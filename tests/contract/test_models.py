"""What every registered model promises, on one tiny instance of each."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from framecast import registry
from framecast.clip import Clip
from framecast.codec import Codec
from framecast.config import from_json, to_json
from framecast.errors import FramecastError
from framecast.layers.codebooks import initialise
from framecast.model import Model, ModelConfig, load
from framecast.models.convlstm import ConvLSTMConfig, TrainingConfig
from framecast.models.copy_last import CopyLastConfig
from framecast.models.e3d_lstm import E3DLSTMConfig
from framecast.models.e3d_lstm import TrainingConfig as E3DTraining
from framecast.models.haf_svg.coders import CoderConfig
from framecast.models.haf_svg.latents import LatentConfig
from framecast.models.haf_svg.model import HAFSVG, HAFSVGConfig
from framecast.models.haf_svg.stages import TrainingConfig as HafTraining
from framecast.models.patch_stack import PatchStack
from framecast.models.predrnn import PredRNNConfig
from framecast.models.predrnn import TrainingConfig as PredRNNTraining
from framecast.models.predrnn_pp import PredRNNPPConfig
from framecast.models.predrnn_pp import TrainingConfig as PredRNNPPTraining
from framecast.models.s_hr_vqvae.model import SHRVQVAE
from framecast.models.s_hr_vqvae.stages import AutoencoderTraining, JointTraining, PriorTraining
from framecast.models.simvp import SimVPConfig
from framecast.models.simvp import TrainingConfig as SimVPTraining
from framecast.models.stip.adversary import DiscriminatorConfig
from framecast.models.stip.model import STIP
from framecast.models.stip.network import STIPConfig
from framecast.models.stip.stages import TrainingConfig as StipTraining
from framecast.models.unit_stack import TrainingConfig as UnitTraining
from framecast.models.unit_stack import UnitStackConfig
from framecast.models.v3d_convlstm.latent import LatentWeights
from framecast.models.v3d_convlstm.model import V3DConvLSTM, V3DConvLSTMConfig
from framecast.models.v3d_convlstm.stages import TrainingConfig as V3DTraining
from framecast.models.video_vqvae.autoencoder import AutoencoderConfig as VideoAutoencoderConfig
from framecast.models.video_vqvae.model import VideoVQVAEConfig
from framecast.models.video_vqvae.stages import AutoencoderTraining as VideoAutoencoderTraining
from framecast.models.video_vqvae.stages import BottomTraining, TopTraining
from framecast.schedules import constant
from framecast.stage import Stage, StageConfig
from layers.processes import Alone
from models.tiny_s_hr_vqvae import SMALL as SMALL_S_HR
from models.tiny_video_vqvae import BOTTOM, TOP, spread_tokens


@dataclasses.dataclass(frozen=True)
class Case:
    """A model at tiny size, with all of its stages."""

    config: ModelConfig
    stages: tuple[StageConfig, ...] = ()
    size: tuple[int, int] = (8, 8)
    channels: int = 1
    context: int = 3
    length: int = 6
    """Frames of its clips."""
    prepare: Callable[[Any], None] = lambda model: None
    """Make a fresh model's predictions depend on what it sees, where they do not yet."""


def spread_codes(model: SHRVQVAE) -> None:
    """Codewords that are all in use, and a prior that is sure of itself."""
    latent = model.encoder(torch.rand(64, model.config.channels, 8, 8)).detach()
    vectors = latent.movedim(1, -1).flatten(0, -2)
    initialise(model.quantiser, vectors, 0, Alone())
    for parameter in model.prior.parameters():
        torch.nn.init.normal_(parameter, std=0.5 if parameter.ndim > 1 else 0.0)


SMALL_STIP = STIPConfig(levels=1, hidden=4, units=2, kernel=3)
SMALL_JUDGE = DiscriminatorConfig(layers=2, hidden=4, groups=2)


def stir(model: STIP) -> None:
    """Let a residual network change its frames, as it does not before training."""
    torch.nn.init.normal_(model.network.output.weight, std=0.1)


def speak(model: PatchStack) -> None:
    """Let a residual stack change its frames, as it does not before training."""
    for parameter in model.output.parameters():
        torch.nn.init.normal_(parameter, std=0.5)


SMALL_CODER = CoderConfig(size=16, width=3, features=6)
SMALL_SVG = HAFSVGConfig(SMALL_CODER, LatentConfig(size=4, hidden=5), hidden=5)


def rouse(model: HAFSVG) -> None:
    """Weights that are large enough for what is seen to reach the frames."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)


SMALL_V3D = V3DConvLSTMConfig(window=2, width=3, hidden=3, latent=2, trunk=3)
FLAT_V3D = dataclasses.replace(SMALL_V3D, window=1, depth=1)


def liven(model: V3DConvLSTM) -> None:
    """Weights with which maps of so few channels neither die out nor grow from step to step."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)


SMALL_VIDEO = VideoVQVAEConfig(
    channels=1,
    codewords=5,
    width=3,
    context=4,
    future=4,
    autoencoder=VideoAutoencoderConfig(hidden=6, residual=3, blocks=1, stride=2),
    top=TOP,
    bottom=BOTTOM,
)


SMALL_SIMVP = SimVPConfig(
    context=3,
    future=3,
    hidden=4,
    halvings=1,
    wide=8,
    blocks=2,
    expansion=2,
    reach=(3, 3, 2),
    inception=(1, 3),
    groups=2,
)


def stack(unit: str) -> UnitStackConfig:
    """Two units of a kind."""
    return UnitStackConfig(unit=unit, channels=1, patch=2, levels=1, layers=2, hidden=4, kernel=3)


TINY = {"patch": 2, "layers": 3, "hidden": 3, "kernel": 3}

CASES = {
    "copy-last": Case(CopyLastConfig(), channels=3),
    "convlstm": Case(
        ConvLSTMConfig(hidden=(4, 3), kernel=3, patch=2), stages=(TrainingConfig(steps=1),)
    ),
    "convlstm, residual": Case(
        ConvLSTMConfig(hidden=(3,), kernel=3, patch=2, residual=True),
        stages=(TrainingConfig(steps=1),),
    ),
    "convlstm, forecaster": Case(
        ConvLSTMConfig(
            layout="forecaster",
            hidden=(4, 3),
            kernel=3,
            patch=2,
            bias=True,
            peephole=True,
            output="sigmoid",
        ),
        stages=(TrainingConfig(steps=1, loss="bce"),),
    ),
    "convlstm, recomputed, reverse": Case(
        ConvLSTMConfig(hidden=(4, 3), kernel=3, patch=2),
        stages=(TrainingConfig(steps=1, recompute=True, context_forcing=constant(0.5)),),
    ),
    "predrnn": Case(
        PredRNNConfig(**TINY),
        stages=(
            PredRNNTraining(steps=1),
            PredRNNTraining(steps=1, context_forcing=constant(0.5), recompute=True),
        ),
    ),
    "predrnn, for one size": Case(
        PredRNNConfig(**TINY, channels=3, norm="layer", size=(8, 8), bias=True),
        stages=(PredRNNTraining(steps=1, teacher_forcing=constant(0.5), loss="l1+mse"),),
        channels=3,
    ),
    "predrnn-pp": Case(PredRNNPPConfig(**TINY), stages=(PredRNNPPTraining(steps=1),)),
    "predrnn-pp, residual": Case(
        PredRNNPPConfig(**TINY, channels=3, norm="group", bias=True, residual=True),
        stages=(PredRNNPPTraining(steps=1, recompute=True),),
        channels=3,
        prepare=speak,
    ),
    "e3d-lstm": Case(E3DLSTMConfig(**TINY), stages=(E3DTraining(steps=1),)),
    "e3d-lstm, as published for one size": Case(
        E3DLSTMConfig(**TINY, reference=True, recall_norm="layer", size=(8, 8)),
        stages=(E3DTraining(steps=1, loss="l1+mse", recompute=True),),
    ),
    "e3d-lstm, windows of three, all recalled": Case(
        E3DLSTMConfig(**TINY, window=3, depth=3, history=None, norm="group", bias=True),
        stages=(E3DTraining(steps=1, context_forcing=constant(0.5)),),
    ),
    "simvp": Case(
        dataclasses.replace(SMALL_SIMVP, drop_path=(0.3, 0.6)),
        stages=(SimVPTraining(steps=1), SimVPTraining(steps=1, recompute=True)),
    ),
    "simvp, inception": Case(
        dataclasses.replace(SMALL_SIMVP, translator="inception", halvings=2),
        stages=(SimVPTraining(steps=1),),
        length=8,
    ),
    "simvp, more frames than seen": Case(
        dataclasses.replace(SMALL_SIMVP, channels=3, future=4),
        stages=(SimVPTraining(steps=1),),
        channels=3,
    ),
    "simvp, inception, fewer frames than seen": Case(
        dataclasses.replace(SMALL_SIMVP, translator="inception", future=2, blocks=3),
        stages=(SimVPTraining(steps=1),),
    ),
    "s-hr-vqvae": Case(
        SMALL_S_HR,
        stages=(
            AutoencoderTraining(steps=1),
            PriorTraining(steps=1),
            PriorTraining(steps=1, attention=False, window=(2, 3), own_codes=constant(0.5)),
            JointTraining(steps=1),
            JointTraining(steps=1, codes="gumbel"),
        ),
        prepare=spread_codes,
    ),
    "stip": Case(
        SMALL_STIP,
        stages=tuple(
            StipTraining(steps=1, loss=loss, discriminator=SMALL_JUDGE, **options)
            for loss, options in (
                ("mse", {}),
                ("mse", {"recompute": True}),
                ("mse+gan", {"adversarial_reduction": "per-frame"}),
                ("mse+gan+lp", {}),
            )
        ),
        channels=3,
    ),
    "stip, one stream, no recall": Case(
        dataclasses.replace(SMALL_STIP, two_streams=False, recall=0.0, units=1),
        stages=(StipTraining(steps=1),),
        channels=3,
    ),
    "stip, as published for one size": Case(
        dataclasses.replace(
            SMALL_STIP,
            norm="layer",
            size=(8, 10),
            bottleneck_skip=True,
            reference_routing=True,
            residual=True,
        ),
        stages=(
            StipTraining(
                steps=1,
                loss="mse+gan+lp",
                discriminator=dataclasses.replace(SMALL_JUDGE, size=(8, 10)),
            ),
        ),
        size=(8, 10),
        channels=3,
        prepare=stir,
    ),
    "s-hr-vqvae, pixels": Case(
        dataclasses.replace(SMALL_S_HR, pixels=True, width=1),
        stages=(AutoencoderTraining(steps=1), PriorTraining(steps=1)),
        size=(4, 4),
        prepare=spread_codes,
    ),
    "s-hr-vqvae, one layer, averaged codebook": Case(
        dataclasses.replace(SMALL_S_HR, layers=1, codewords=9, channels=3),
        stages=(
            AutoencoderTraining(steps=1),
            AutoencoderTraining(steps=1, codebook="average"),
            PriorTraining(steps=1),
        ),
        channels=3,
        prepare=spread_codes,
    ),
    "haf-svg, SVG-LP": Case(
        SMALL_SVG,
        stages=(HafTraining(steps=1), HafTraining(steps=1, loss_from="future")),
        size=(16, 16),
        prepare=rouse,
    ),
    "haf-svg, H-SVG, VGG, authors' skip": Case(
        dataclasses.replace(
            SMALL_SVG,
            coder=dataclasses.replace(SMALL_CODER, kind="vgg", channels=3),
            latent=dataclasses.replace(SMALL_SVG.latent, groups=4),
            reference_skip=True,
        ),
        stages=(HafTraining(steps=1),),
        size=(16, 16),
        channels=3,
        prepare=rouse,
    ),
    "haf-svg, HAF-SVG-2": Case(
        dataclasses.replace(
            SMALL_SVG,
            coder=dataclasses.replace(SMALL_CODER, aligned=(8, 4)),
            latent=dataclasses.replace(SMALL_SVG.latent, groups=2),
        ),
        stages=(HafTraining(steps=1),),
        size=(16, 16),
        prepare=rouse,
    ),
    "haf-svg, HAF-SVG-2, VGG, value of the decoder": Case(
        dataclasses.replace(
            SMALL_SVG,
            coder=dataclasses.replace(
                SMALL_CODER, kind="vgg", aligned=(8,), value_from="decoder", scaled=True
            ),
            latent=dataclasses.replace(SMALL_SVG.latent, groups=2, per="group"),
        ),
        stages=(HafTraining(steps=1),),
        size=(16, 16),
        prepare=rouse,
    ),
    "v3d-convlstm": Case(
        SMALL_V3D,
        stages=(
            V3DTraining(steps=1),
            V3DTraining(steps=1, teacher_forcing=constant(0.0)),
            V3DTraining(steps=1, teacher_forcing=constant(0.5), latent_loss="kl+ll"),
            V3DTraining(steps=1, latent_weights=LatentWeights(variance=2.0)),
        ),
        prepare=liven,
    ),
    "v3d-convlstm, two new frames of four, separate encoder": Case(
        dataclasses.replace(
            SMALL_V3D, window=4, advance=2, channels=3, posterior_encoder="separate"
        ),
        stages=(
            V3DTraining(steps=1, latent_loss="kl"),
            V3DTraining(steps=1, z_from="prior", latent_weight=constant(1.0)),
        ),
        channels=3,
        context=4,
        prepare=liven,
    ),
    "v3d-convlstm, deterministic": Case(
        dataclasses.replace(SMALL_V3D, latent=0),
        stages=(V3DTraining(steps=1),),
        prepare=liven,
    ),
    "v3d-convlstm, 2-D": Case(FLAT_V3D, stages=(V3DTraining(steps=1),), prepare=liven),
    "v3d-convlstm, 2-D, deterministic": Case(
        dataclasses.replace(FLAT_V3D, latent=0, layers=1),
        stages=(V3DTraining(steps=1, teacher_forcing=constant(0.0)),),
        prepare=liven,
    ),
    "video-vqvae": Case(
        SMALL_VIDEO,
        stages=(
            VideoAutoencoderTraining(steps=1),
            TopTraining(steps=1),
            BottomTraining(steps=1),
            BottomTraining(steps=1, slices=None),
        ),
        size=(4, 4),
        context=4,
        length=8,
        prepare=spread_tokens,
    ),
    "video-vqvae, more context than future": Case(
        dataclasses.replace(SMALL_VIDEO, channels=3, context=8),
        stages=(
            VideoAutoencoderTraining(steps=1),
            TopTraining(steps=1),
            BottomTraining(steps=1),
        ),
        size=(4, 4),
        channels=3,
        context=8,
        length=12,
        prepare=spread_tokens,
    ),
    **{
        f"unit-stack, {unit}": Case(stack(unit), stages=(UnitTraining(steps=1),))
        for unit in registry.names("units")
    },
    "unit-stack, recomputed, fed back": Case(
        dataclasses.replace(stack("stgru"), channels=3, levels=2, norm="none"),
        stages=(UnitTraining(steps=1, recompute=True, teacher_forcing=constant(0.0)),),
        channels=3,
    ),
}


@pytest.fixture(params=CASES, ids=list(CASES))
def case(request) -> Case:
    """Each case in turn."""
    return CASES[request.param]


@pytest.fixture
def model(case) -> Model:
    """Its model, the same weights every time."""
    torch.manual_seed(1)
    model = case.config.build().eval()
    case.prepare(model)
    return model


def clip(case: Case, batch: int = 2, length: int | None = None, seed: int = 0) -> Clip:
    """Random frames of the case's size and, unless told otherwise, length."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, length or case.length, case.channels, *case.size)
    return Clip(torch.rand(shape, generator=generator))


def test_every_registered_model_has_a_case():
    """A model that is listed is tested; so are all of its stages."""
    own = {n for n, target in registry.MODELS.items() if target.startswith("framecast.")}
    assert {case.config.type for case in CASES.values()} == own
    for name in own:
        tested = {s.type for c in CASES.values() if c.config.type == name for s in c.stages}
        assert tested == {f"{name}/{stage}" for stage in registry.find("models", name).stages}


@pytest.mark.parametrize("samples", [None, 3])
def test_prediction_is_finite_and_shaped(case, model, samples):
    """`s b t c h w`, unclipped and clipped."""
    context = clip(case, length=case.context)
    out = model.predict(context, 4, samples=samples)
    assert out.unclipped.shape == (samples or 1, 2, 4, case.channels, *case.size)
    assert out.unclipped.isfinite().all()
    assert torch.equal(out.frames, out.unclipped.clamp(0, 1))


def test_same_seed_same_result(case, model):
    """Whatever the global generators did in between."""
    context = clip(case, length=case.context)
    first = model.predict(context, 3, samples=2, seed=5)
    torch.manual_seed(123)
    assert torch.equal(first.unclipped, model.predict(context, 3, samples=2, seed=5).unclipped)


def test_a_sequence_alone_gets_what_it_gets_in_a_batch(case, model):
    """Neither the other sequences nor further samples matter."""
    context = clip(case, batch=3, length=case.context)
    batch = model.predict(context, 3, samples=4, seed=2, sequences=[7, 8, 9]).unclipped
    alone = model.predict(Clip(context.frames[1:2]), 3, samples=2, seed=2, sequences=[8]).unclipped
    torch.testing.assert_close(alone[:, 0], batch[:2, 1], rtol=1e-4, atol=1e-5)


def test_longer_horizons_go_on(case, model):
    """Any horizon, and the first frames of a long one are those of a short one."""
    context = clip(case, length=case.context)
    long, short = model.predict(context, 17), model.predict(context, 2)
    assert long.unclipped.shape[2] == 17
    assert long.unclipped.isfinite().all()
    torch.testing.assert_close(long.unclipped[:, :, :2], short.unclipped, rtol=1e-4, atol=1e-5)


def test_other_numbers_of_context_frames(case, model):
    """From the fewest that the model takes to more than it looks at."""
    for length in (model.expects.context_min, case.context + 5):
        assert model.predict(clip(case, length=length), 2).unclipped.shape[2] == 2


def test_odd_sizes(case, model):
    """Frames are padded to what the network needs and cropped back."""
    if model.expects.size is None:
        odd = dataclasses.replace(case, size=(case.size[0] + 1, case.size[1] + 5))
        frames = model.predict(clip(odd, length=case.context), 2).frames
        assert frames.shape[-2:] == odd.size


def test_teacher_forcing_is_causal(case, model):
    """Changing frames after t leaves the outputs up to t as they are, bit for bit."""
    original, length = clip(case), case.length
    before = model.teacher_forced(original)
    assert before.shape[:2] == (2, length - 1)
    for t in range(length - 1):
        frames = original.frames.clone()
        frames[:, t + 1 :] = clip(case, seed=t + 1).frames[:, t + 1 :]
        after = model.teacher_forced(Clip(frames))
        assert torch.equal(after[:, : t + 1], before[:, : t + 1])
        if t + 1 < length - 1:
            assert not torch.equal(after[:, t + 1 :], before[:, t + 1 :])


def test_gray_clips_of_a_colour_model(case, model):
    """What predicts takes them, and gives gray frames, the same from beginning to end."""
    if model.expects.channels != 3:
        return
    gray = clip(dataclasses.replace(case, channels=1))
    forced = model.teacher_forced(gray)
    assert forced.shape == gray.frames[:, 1:].shape
    context = gray.pick(slice(None, case.length - 1))
    rolled = model.predict(context, 1).unclipped[0, :, 0]
    torch.testing.assert_close(forced[:, -1], rolled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(case, model, dtype):
    """Weights and frames in half precision predict, in that precision."""
    context = clip(case).frames[:, : case.context]
    found = model.to(dtype).predict(context.to(dtype), 2)
    assert found.unclipped.dtype == dtype
    assert found.unclipped.isfinite().all()


def test_teacher_forcing_agrees_with_the_rollout(case, model):
    """The first predicted frame is the same either way."""
    original = clip(case)
    forced = model.teacher_forced(original)
    for length in range(model.expects.context_min, case.length):
        rolled = model.predict(Clip(original.frames[:, :length]), 1).unclipped[0, :, 0]
        torch.testing.assert_close(forced[:, length - 1], rolled, rtol=1e-4, atol=1e-5)


def test_batch_independence(case, model):
    """A sequence's prediction does not change with another sequence, nor has a gradient from it."""
    frames = clip(case).frames
    other = torch.cat([frames[:1], 1 - frames[1:]])
    before, after = (model.teacher_forced(Clip(each)) for each in (frames, other))
    torch.testing.assert_close(after[0], before[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after[1], before[1])
    if isinstance(model, Codec):
        return  # codes have no gradients
    frames.requires_grad_()
    model.teacher_forced(Clip(frames))[0].sum().backward()
    assert frames.grad is not None
    assert frames.grad[1].abs().sum() == 0
    assert frames.grad[0].abs().sum() > 0


def test_saving_and_loading_is_bitwise(case, model, tmp_path):
    """Weights, configuration, and so the prediction."""
    model.save(tmp_path / "folder")
    again = load(tmp_path / "folder")
    context = clip(case, length=case.context)
    assert again.config == case.config
    before, after = (m.predict(context, 3, samples=2).unclipped for m in (model, again))
    assert torch.equal(before, after)


def test_configuration_round_trip(case):
    """Through JSON, under its registered name."""
    assert from_json(ModelConfig, to_json(case.config)) == case.config


def test_refusals(case, model):
    """What cannot be predicted is a line that names what is expected."""
    context = clip(case, length=case.context)
    name = case.config.type
    with pytest.raises(FramecastError, match="horizon is at least 1"):
        model.predict(context, 0)
    with pytest.raises(FramecastError, match="samples is at least 1"):
        model.predict(context, 1, samples=0)
    with pytest.raises(FramecastError, match="b t c h w"):
        model.predict(Clip(context.frames[0]), 1)
    with pytest.raises(FramecastError, match="sequence numbers"):
        model.predict(context, 1, sequences=[1])
    if model.expects.channels is not None:
        wrong = context.frames[:, :, :1].expand(-1, -1, 4, -1, -1)
        with pytest.raises(FramecastError, match=f"{name} expects .* channels"):
            model.predict(wrong, 1)


def test_prediction_leaves_the_mode(case, model):
    """Each part of a model is in its own mode between frames; predictions do not notice."""
    model.train()
    for part in list(model.modules())[1:]:
        part.eval()
    modes = [part.training for part in model.modules()]
    one, other = (model.stream(clip(case, length=case.context), 3) for _ in range(2))
    frames = [(next(one).frame, next(other).frame) for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in frames)
    assert [part.training for part in model.modules()] == modes


@pytest.fixture(params=[(n, k) for n, c in CASES.items() for k in range(len(c.stages))], ids=str)
def stage(request) -> tuple[Case, Stage]:
    """Each stage of each case, in training mode."""
    case = CASES[request.param[0]]
    torch.manual_seed(2)
    stage = case.stages[request.param[1]].build(case.config.build(), case.context)
    return case, stage.train()


def gradients(stage: Stage, phase: str, batch: Any) -> dict[str, bool]:
    """Which parameters get a gradient in a phase, when only its own ask for one."""
    own = {id(p) for p in stage.parameters_of(phase)}
    for parameter in stage.parameters():
        parameter.grad = None
        parameter.requires_grad_(id(parameter) in own)
    stage(phase, batch, 0)["total"].backward()
    return {name: p.grad is not None for name, p in stage.named_parameters()}


def test_gradients_reach_what_a_phase_trains(stage):
    """Every parameter of a phase, none outside of it."""
    case, trained = stage
    for phase in trained.phases:
        own = {id(p) for p in trained.parameters_of(phase)}
        got = gradients(trained, phase, clip(case))
        expected = {name: id(p) in own for name, p in trained.named_parameters()}
        assert got == expected


def moved(stage: Stage, batch: Clip) -> list[torch.nn.Parameter]:
    """The parameters that a step changes without a gradient."""
    before = [p.detach().clone() for p in stage.parameters()]
    stage.train()
    for phase in stage.phases:
        stage(phase, batch, 0)
    stage.after_step(0, Alone())
    pairs = zip(stage.parameters(), before, strict=True)
    return [p for p, old in pairs if not torch.equal(p, old)]


def test_every_parameter_is_trained_by_some_stage():
    """A weight that nothing trains is a mistake: no gradient, and no moving average."""
    for case in CASES.values():
        if not case.stages:
            continue
        model = case.config.build()
        stages = [config.build(model, case.context) for config in case.stages]
        trained = {id(p) for s in stages for phase in s.phases for p in s.parameters_of(phase)}
        if not all(id(p) in trained for p in model.parameters()):
            trained |= {id(p) for stage in stages for p in moved(stage, clip(case))}
        assert all(id(p) in trained for p in model.parameters())


def test_losses_are_finite_and_repeatable(stage):
    """The same seed gives the same losses, and the forward pass changes no state."""
    case, trained = stage
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    for phase in trained.phases:
        results = []
        for _ in range(2):
            torch.manual_seed(3)
            results.append(trained(phase, clip(case), 0))
        assert "total" in results[0]
        for name, value in results[0].items():
            assert value.ndim == 0
            assert value.isfinite()
            assert torch.equal(value, results[1][name])
    assert all(torch.equal(v, before[k]) for k, v in trained.state_dict().items())


def test_validation_scores(stage):
    """Lower is better, the same every time, and no gradient is kept."""
    case, trained = stage
    trained.eval()
    first, second = (trained.validate(clip(case)) for _ in range(2))
    assert first["score"].isfinite()
    assert torch.equal(first["score"], second["score"])
    assert not first["score"].requires_grad


def test_training_takes_odd_sizes(stage):
    """What can be predicted can be trained on: frames are padded where the network needs it."""
    case, trained = stage
    if trained.model.expects.size is None:
        odd = dataclasses.replace(case, size=(case.size[0] + 1, case.size[1] + 5))
        for phase in trained.phases:
            assert trained(phase, clip(odd), 0)["total"].isfinite()
        forced = trained.model.teacher_forced(clip(odd))
        assert forced.shape[-2:] == odd.size


def test_stage_configuration_round_trip(stage):
    """Stages come back from JSON under `model/stage`."""
    _, trained = stage
    assert from_json(StageConfig, to_json(trained.config)) == trained.config


def test_a_residual_stack_starts_as_copy_last():
    """Before training the change is zero; it needs a stack with a linear output."""
    case = CASES["convlstm, residual"]
    context = clip(case, length=3)
    frames = case.config.build().predict(context, 4).unclipped[0]
    assert torch.equal(frames, context.frames[:, -1:].expand_as(frames))
    for field in ({"layout": "forecaster"}, {"output": "sigmoid"}):
        with pytest.raises(FramecastError, match="residual needs"):
            ConvLSTMConfig(residual=True, **field)


@pytest.mark.parametrize("name", registry.names("presets"))
def test_presets_are_complete(name):
    """Every preset builds a configuration that JSON can hold, its model, and its stages."""
    experiment = registry.find("presets", name)()
    assert experiment.model.type == name.split("/")[0]
    assert from_json(type(experiment), to_json(experiment)) == experiment
    with torch.device("meta"):
        model = experiment.model.build()
        for stage in experiment.stages.values():
            stage.build(model, experiment.context)
    assert experiment.stages
