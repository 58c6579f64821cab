"""Which images the page may show, and how."""

import io
from pathlib import Path

import numpy as np
import pytest
from annotated_run import write_run
from PIL import Image

from critics.annotation.pictures import MAX_SIDE_PX, MIN_SIDE_PX, Pictures, _sized, read_subjects
from ostensive.images.drawing import region_colour
from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.records import ImageRecord
from ostensive.run import partitions


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    run = write_run(tmp_path_factory.mktemp("pictures"), images=2)
    images = partitions.read_kept(run.partition_paths("images")[0], ImageRecord)
    return Pictures(read_subjects(run, [images[0].image_id, "0" * 64]), ImageLoader(IntakeSettings()))


def test_only_what_was_asked_for_and_is_there(pictures: Pictures) -> None:
    (subject,) = pictures.subjects.values()
    assert subject.numbers == (0, 1, 2)
    assert subject.image.source == "scene 0.png"


def test_regions_are_drawn_in_their_colours(pictures: Pictures) -> None:
    (image_id,) = pictures.subjects

    def pixels(*numbers: int) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(pictures.jpeg(image_id, numbers))).convert("RGB"), dtype=int)

    changed = np.abs(pixels(1) - pixels()).sum(axis=2) > 60
    rows, columns = np.nonzero(changed)
    # Region 1 is at x 0.4-0.7 and y 0.2-0.9 of 640 x 480, its outline and number just around it.
    assert 230 < columns.min() < 260 < 440 < columns.max() < 465
    assert 60 < rows.min() < 100 < 420 < rows.max() < 445
    near = np.abs(pixels(1) - np.array(region_colour(1))).sum(axis=2) < 60
    assert near.sum() > 200
    assert pictures.jpeg(image_id, (0, 1)) == pictures.jpeg(image_id, (1, 0, 1))


def test_what_is_not_known_is_a_key_error(pictures: Pictures) -> None:
    (image_id,) = pictures.subjects
    for wrong in [("0" * 64, ()), (image_id, (3,)), ("../" + image_id, ())]:
        with pytest.raises(KeyError):
            pictures.jpeg(*wrong)


def test_large_and_small_ones_are_brought_to_size() -> None:
    assert _sized(Image.new("RGB", (4000, 1000))).size == (MAX_SIDE_PX, 400)
    assert _sized(Image.new("RGB", (64, 32))).size == (512, 256)
    assert _sized(Image.new("RGB", (MIN_SIDE_PX, 100))).size == (MIN_SIDE_PX, 100)
    assert _sized(Image.new("RGB", (1, 1))).size == (MIN_SIDE_PX, MIN_SIDE_PX)


def test_a_run_without_verbalizations_has_images_without_regions(tmp_path: Path) -> None:
    run = write_run(tmp_path, images=1)
    for path in run.partition_paths("verbalized"):
        path.unlink()
    images = partitions.read_kept(run.partition_paths("images")[0], ImageRecord)
    (subject,) = read_subjects(run, [images[0].image_id]).values()
    assert subject.regions == ()
