"""`ostensive microworld`: what its commands take; what they do is tested with the room."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ostensive.cli import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "seeing", "--stage", "dreaming"], "--stage: there is no stage 'dreaming'; there are pool, seeing"),
        (["--minutes", "dreaming=3"], "--minutes: there is no stage 'dreaming'; there are pool, seeing"),
        (["--minutes", "seeing"], "--minutes seeing: STAGE=MINUTES is expected, such as seeing=16"),
        (["--minutes", "seeing=long"], "--minutes seeing=long: STAGE=MINUTES is expected, such as seeing=16"),
        (["--minutes", "seeing=0"], "--minutes seeing=0: STAGE=MINUTES is expected, such as seeing=16"),
        (["--minutes", "seeing=nan"], "--minutes seeing=nan: STAGE=MINUTES is expected, such as seeing=16"),
    ],
)
def test_a_training_that_cannot_be_planned_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["microworld", "train", str(tmp_path / "models"), *arguments])
    assert str(done.exception).startswith(message)
    assert not (tmp_path / "models").exists()
