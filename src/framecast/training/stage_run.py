"""One stage of a run: its steps, and all that happens between them."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from framecast import __version__
from framecast.atomic import NewFile
from framecast.clip import Source
from framecast.config import to_json
from framecast.data.order import Order
from framecast.errors import TrainingError
from framecast.folder import Json
from framecast.model import load_weights
from framecast.noise import mix
from framecast.stage import Stage
from framecast.training import batches, checkpoint, optimizers
from framecast.training.card import card
from framecast.training.checkpoint import Checkpoint, Kept, Tensors
from framecast.training.checks import check_clips
from framecast.training.logging import Log
from framecast.training.place import Place, initial_model
from framecast.training.progress import Steps, say
from framecast.training.samples import picture
from framecast.training.signals import Interrupted
from framecast.training.trainer import Trainer
from framecast.training.validation import SCORE, validate

T = TypeVar("T")
PICTURED_CLIPS = 2


class StageRun:
    """One stage of a run, from given weights of the model or from a checkpoint."""

    def __init__(
        self,
        place: Place,
        index: int,
        finished: tuple[Json, ...],
        weights: Tensors | None = None,
        reached: Checkpoint | None = None,
    ) -> None:
        """Build everything that the steps need.

        Args:
            place: Of the run.
            index: Number of the stage, from 0.
            finished: Facts about the stages before.
            weights: What the model starts from; None for new ones.
            reached: Where to go on.
        """
        self.place, self.fabric, self.experiment = place, place.fabric, place.experiment
        self.index, self.finished = index, finished
        self.name, self.config = list(self.experiment.stages.items())[index]
        self.model = initial_model(self.experiment)
        check_clips(self.model, place.sources, self.experiment)
        if weights is not None:
            load_weights(self.model, dict(weights), f"stage {self.name!r}")
        torch.manual_seed(mix(self.experiment.seed, "stage", self.name))
        stage = self.config.build(self.model, self.experiment.context)
        self.begun = self._begin(stage) if reached is None else reached.begun
        self.trainer = Trainer(self.fabric, stage, self.name, self.experiment.seed)
        self.kept: Kept | None = None
        if reached is not None:
            self._restore(reached)
        torch.manual_seed(mix(self.experiment.seed, "source", self.name))
        self.train_source = stage.source(place.sources.train)
        held_out = place.sources.validation
        self.validation_source = None if held_out is None else stage.source(held_out)
        self.trainer.rest()
        if self.kept is not None:
            self.kept = replace(self.kept, weights={**self.kept.weights, **self._idle()})
        self.log = self._open_log(reached) if self.fabric.is_global_zero else None
        self.saved = None if reached is None else reached.step

    def _begin(self, stage: Stage) -> dict[str, str]:
        """Let a stage take over weights from elsewhere, and say what it took."""
        begun = stage.begin()
        if self.place.options.progress and self.fabric.is_global_zero:
            say(self.name, (f"{part}: {text}" for part, text in begun.items()))
        return begun

    def run(self) -> None:
        """Train to the end of the stage, and write what it hands on."""
        try:
            self._run()
        except OSError as error:
            reason = f"{error.filename or self.place.folder.path}: {error.strerror or error}"
            raise TrainingError(f"cannot go on writing {reason}; {self._way_on()}") from error

    def _run(self) -> None:
        try:
            if self.saved is None:
                self._save()
            self._steps()
        finally:
            if self.log:
                self.log.close()
        self._hand_on()

    # ---- steps

    def _steps(self) -> None:
        trainer, total = self.trainer, self.config.steps
        data = batches.training_steps(
            self.train_source, self._order(), self.config.accumulate, self.place.options.workers
        )
        shown = self.place.options.progress and self.fabric.is_global_zero
        with closing(data) as steps, Steps(self.name, total, trainer.done, shown) as progress:
            while trainer.done < total:
                values = self._guard(lambda: self.trainer.step(next(steps)))
                progress.advance(trainer.done, self._between(values))
                stopped = self._agreed(self.place.stop.number)
                ended = trainer.done == total
                if stopped or ended or self._due(self.config.checkpoint_every):
                    self._save()
                if stopped and not ended:
                    raise Interrupted(
                        f"stopped after step {trainer.done} of stage {self.name!r}; "
                        f"{self._way_on()}",
                        stopped,
                    )

    def _guard(self, work: Callable[[], T]) -> T:
        """Say how to go on after what cannot go on."""
        try:
            return work()
        except TrainingError as error:
            raise TrainingError(f"{error}; lower the learning rate; {self._way_on()}") from None

    def _between(self, values: dict[str, float]) -> str:
        """Log, validate and picture where it is time.

        Returns:
            What progress shows.
        """
        text = f"loss {next(iter(values.values())):.4g}"
        if self._due(self.config.log_every):
            self._write("train", values)
        if self._due(self.config.validate_every):
            score = self._validate()
            text += "" if score is None else f", score {score:.4g}"
        if self._due(self.config.sample_every):
            self._picture()
        return text

    def _due(self, every: int) -> bool:
        """Whether something is done after this step: every so often and at the end; 0 is never."""
        done = self.trainer.done
        return every > 0 and (done % every == 0 or done == self.config.steps)

    def _order(self) -> Order:
        seed = mix(self.experiment.seed, "order", self.name)
        rank, world = self.fabric.global_rank, self.fabric.world_size
        return Order(
            len(self.train_source), self.config.batch, seed, self.trainer.done, rank, world
        )

    def _agreed(self, number: int) -> int:
        """The signal that any process has received, or 0."""
        if self.fabric.world_size == 1:
            return number
        received = torch.tensor([number], device=self.fabric.device)
        reduced = self.fabric.all_reduce(received, reduce_op="max")
        assert isinstance(reduced, Tensor)
        return int(reduced.item())

    # ---- validation, pictures, log

    def _validate(self) -> float | None:
        """Validate, and keep the weights if the stage would hand them on."""
        trainer = self.trainer
        trainer.share_buffers()
        with trainer.average.in_place():
            score = None
            if self.validation_source is not None:
                with closing(self._validation_batches(self.validation_source)) as held_out:
                    means = validate(
                        self.fabric,
                        trainer.stage,
                        held_out,
                        mix(self.experiment.seed, "validation", self.name),
                    )
                self._write("validation", means)
                score = means[SCORE] if math.isfinite(means[SCORE]) else None
            if self._better(score):
                self.kept = Kept(self._copy(), trainer.done, score)
                self._write_model()
        trainer.stage.train()
        return score

    def _idle(self) -> dict[str, Tensor]:
        """What of the model the stage leaves as it is, without a copy."""
        idle = {id(tensor) for tensor in self.trainer.idle()}
        named = self.model.state_dict(keep_vars=True).items()
        return {name: tensor.detach() for name, tensor in named if id(tensor) in idle}

    def _copy(self) -> Tensors:
        """The model's weights as they are now, on the CPU; of what is idle, not another time."""
        idle = self._idle()
        return {
            name: idle[name] if name in idle else tensor.detach().cpu().clone()
            for name, tensor in self.model.state_dict().items()
        }

    def _better(self, score: float | None) -> bool:
        if self.kept is None or self.validation_source is None or self.config.keep == "last":
            return True
        best = self.kept.score
        return score is not None and (best is None or score < best)

    def _validation_batches(self, source: Source) -> Any:
        limit = self.config.validation_clips
        return batches.validation_batches(
            source,
            len(source) if limit is None else min(limit, len(source)),
            self.config.batch // self.config.accumulate,
            self.place.options.workers,
            self.fabric.global_rank,
            self.fabric.world_size,
        )

    def _picture(self) -> None:
        if self.log is None:
            return
        source, done = self.place.sources.shown(), self.trainer.done
        title = f"{self.name}, step {done}"
        device, context = self.fabric.device, self.experiment.context
        with self.trainer.whole(), self.trainer.average.in_place():
            image = picture(self.model, source, context, PICTURED_CLIPS, device, title)
        self.trainer.stage.train()
        path = self.place.folder.samples / self.name / f"{done:09d}.png"
        with NewFile(path) as draft:
            image.save(draft)
        self.log.picture(done, "samples", image)

    def _open_log(self, reached: Checkpoint | None) -> Log:
        table = self.place.folder.log
        length = reached.log_bytes if reached else 0
        if reached is None and self.index and table.exists():
            length = table.stat().st_size
        events = self.place.folder.events
        return Log(table, events, self.name, self.trainer.done, length)

    def _write(self, split: str, values: dict[str, float]) -> None:
        if self.log:
            self.log.write(self.trainer.done, split, values)

    # ---- checkpoints and models

    def _save(self) -> None:
        self._guard(self.trainer.check_weights)
        if self.log and self.saved != self.trainer.done:
            self._write_checkpoint(self.log)
        self.saved = self.trainer.done

    def _write_checkpoint(self, log: Log) -> None:
        trainer = self.trainer
        state = Checkpoint(
            index=self.index,
            step=trainer.done,
            stage=trainer.stage.state_dict(),
            optimizers=optimizers.state_of(trainer.optimizers),
            average=trainer.average.state(),
            kept=self.kept,
            finished=self.finished,
            begun=self.begun,
            log_bytes=log.sync(),
        )
        keep = self.place.options.keep_checkpoints
        checkpoint.save(self.place.folder.checkpoints, state, keep)

    def _restore(self, reached: Checkpoint) -> None:
        load_weights(self.trainer.stage, dict(reached.stage), f"stage {self.name!r}")
        optimizers.load_state(self.trainer.optimizers, reached.optimizers)
        self.trainer.average.load(reached.average)
        self.trainer.done = reached.step
        self.kept = reached.kept

    def _way_on(self) -> str:
        folder = self.place.folder
        return (
            f"the last checkpoint is step {self.saved} in {folder.checkpoints}; "
            f"go on with: framecast train --resume {folder.path}"
        )

    def _hand_on(self) -> None:
        """Write the kept weights, also as the run's model after the last stage."""
        assert self.kept is not None
        load_weights(self.model, dict(self.kept.weights), f"stage {self.name!r}")
        self._write_model()
        if self.index == len(self.experiment.stages) - 1 and self.fabric.is_global_zero:
            self.model.save(self.place.folder.model, card=card(self.model))
        self.fabric.barrier()

    def _write_model(self) -> None:
        self.model.about = self.about()
        if self.fabric.is_global_zero:
            self.model.save(self.place.folder.stage(self.name), card=card(self.model))

    def facts(self) -> tuple[Json, ...]:
        """What the stages up to this one did for the weights that are kept."""
        assert self.kept is not None
        own = {
            "name": self.name,
            "type": self.config.type,
            "step": self.kept.step,
            "score": self.kept.score,
        }
        return (*self.finished, own | ({"begun": self.begun} if self.begun else {}))

    def about(self) -> Json:
        """What the weights were trained on and for."""
        experiment, facts = self.experiment, self.facts()
        return {
            "context": experiment.context,
            "horizon": experiment.horizon,
            "size": self.place.sources.size,
            "data": to_json(replace(experiment.data, root=None)),
            "stages": list(facts),
            "score": facts[-1]["score"],
            "seed": experiment.seed,
            "framecast": __version__,
        }
