"""What the documentation shows works."""

import re
import types
from pathlib import Path

import pytest
import torch

from framecast import registry
from framecast.clip import Clip
from framecast.model import load

ROOT = Path(__file__).parents[1]


def blocks(page: str) -> list[str]:
    """The Python code of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture
def trend(monkeypatch) -> types.ModuleType:
    """The model that the guide writes, registered as the guide says."""
    code, registration = blocks("docs/ADDING_A_MODEL.md")
    module = types.ModuleType("my_package.trend")
    monkeypatch.setitem(__import__("sys").modules, "my_package.trend", module)
    monkeypatch.setitem(registry.MODELS, "trend", "my_package.trend:Trend")
    exec(compile(code, "ADDING_A_MODEL.md", "exec"), module.__dict__)
    exec(registration, {"framecast": __import__("framecast")})
    return module


def test_the_model_of_the_guide(trend, tmp_path):
    """It predicts, saves, loads and learns."""
    model = trend.TrendConfig().build()
    ramp = torch.arange(6.0).reshape(1, 6, 1, 1, 1).expand(1, 6, 1, 4, 4) / 10
    stage = trend.TrainingConfig().build(model, context=2).train()
    optimizer = torch.optim.Adam(stage.parameters(), 0.1)
    for step in range(60):
        optimizer.zero_grad()
        stage("main", Clip(ramp), step)["total"].backward()
        optimizer.step()
    model.save(tmp_path / "trend")
    future = load(tmp_path / "trend").predict(ramp[:, :3], 2).frames[0]
    torch.testing.assert_close(future, ramp[:, 3:5], atol=0.02, rtol=0)


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def test_presets_and_protocols_of_the_pages_exist():
    """What a page tells to train or to evaluate by, unless a part of its name is left open."""
    text = "\n".join(page.read_text() for page in PAGES)
    for kind, command in (("presets", "framecast train"), ("protocols", "--protocol")):
        names = set(re.findall(rf"{command} ([a-z][a-z0-9/@-]*)(?![\w/@…-])", text))
        assert len(names) > 5
        assert names <= set(registry.names(kind)), names - set(registry.names(kind))


def test_the_sizes_of_v3d_convlstm():
    """The counts of its page are those of the presets that stand beside them."""
    text = (ROOT / "docs/V3D-CONVLSTM.md").read_text()
    rows = re.findall(r"\| `([\w-]+)` \| [\d.]+M \| ([\d,]+) \|", text)
    assert len(rows) == 4
    rows += [("moving-mnist-small", "1,395,585"), ("moving-mnist-small-vrnn-2d", "467,713")]
    rows.append(("moving-mnist-small-convlstm-2d", "405,153"))
    for name, count in rows:
        assert count in text
        with torch.device("meta"):
            model = registry.find("presets", f"v3d-convlstm/{name}")().model.build()
        assert f"{model.parameter_count():,}" == count


def test_links_lead_somewhere():
    """Every relative link of the pages exists."""
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
