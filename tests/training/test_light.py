"""What does not train does not import Fabric."""

import subprocess
import sys
from pathlib import Path

import torch

from contract.dummy import Dummy, DummyConfig


def test_predicting_and_evaluating_import_no_fabric(tmp_path: Path) -> None:
    torch.manual_seed(0)
    Dummy(DummyConfig()).save(tmp_path / "model")
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import torch, framecast, contract.dummy, framecast.experiment
model = framecast.load({str(tmp_path / "model")!r})
assert model.predict(torch.zeros(1, 2, 1, 4, 4), 3).frames.shape == (1, 1, 3, 1, 4, 4)
from framecast.evaluation.protocol import find
from framecast.evaluation.runner import evaluate
from framecast.models.copy_last import CopyLast, CopyLastConfig
evaluate(CopyLast(CopyLastConfig()), find("glyphs/10-10"), limit=1)
print([name for name in sys.modules if "lightning" in name])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
