"""The neural verbalizers against bare loops over the same models: images per second, and the share that is reached.

    python benchmarks/verbalizing.py [--parts clip narratives captions probes regions] [--rounds 3]
    python benchmarks/verbalizing.py --device cuda --size full --dtype bfloat16 [--language blip2]

Three ways, from JPEG files to text, in alternating rounds, by the median; a round before them is not counted, for the
loop with worker processes is slow for some seconds after they are forked. `ours`: one verbalizer as `VerbalizeStage`
runs it, in calls of as many images as the engine hands over, decoded by the stage's own threads beside the model, its
answers journaled; the other four are not asked. `bare`: a `DataLoader` with as many worker processes as ours has
threads and batches of the same size, written with open_clip or transformers alone (`bare_loops.py`). `seeds`: one image
at a time, one query at a time, no workers, over fewer images. Models have random weights (`random_models.py`);
narratives and the others share one loaded model with the bare loop, which is made to say as many tokens as ours may;
both are counted at the output layer. Target: ours at least 0.9 of bare.

On a GPU also `forward`: the model alone on a batch that lies there; the arithmetic that ours and the model alone do in
a second as a share of the best matrix product measured (`peak.py` has the formulas); and the peak of GPU memory.
"""

import argparse
import contextlib
import hashlib
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bare_loops
import numpy as np
import peak
import PIL.Image
import random_models
from bare_loops import Job, Loop, TextModel, TextRequest
from figures import Plan, Ways, markdown, measure, report, token_counter

from ostensive.chat.local import LocalChat
from ostensive.images.settings import IntakeSettings
from ostensive.records import Box, ImageRecord, Location, Verbalization
from ostensive.run.services import ServiceSettings, open_services
from ostensive.run.worker import batches
from ostensive.settings import validate
from verbalizers.base import DecodedImage, ImageFailure
from verbalizers.choice import Proposal
from verbalizers.clip.concepts import ClipConcepts
from verbalizers.image_text.model import ImageTextModel
from verbalizers.image_text.settings import FIRST_QUESTIONS
from verbalizers.image_text.verbalizers import ModelCaptions, ModelNarratives, ModelProbes
from verbalizers.image_text.wordings import answer_prompt, caption_prompt, narrative_prompt
from verbalizers.label_lists import load_labels
from verbalizers.stage import VerbalizeStage
from verbalizers.table import VerbalizeSettings

TEXTS_AN_IMAGE = 5  # narratives, regions and questions alike, so that a batch holds the texts of whole images
LABELS = {"small": 50, "full": None}  # of each list: encoding all of them takes two cores minutes, and is not measured
BOXES = tuple(Box(0.1 * k, 0.08 * k, 0.1 * k + 0.4, 0.08 * k + 0.5) for k in range(TEXTS_AN_IMAGE))
LEAST_PROBABILITY = 0.3  # of a detection
WRITERS = ("narratives", "captions", "probes")
# By (writes, on a GPU).
IMAGES = {(True, False): 10, (False, False): 80, (True, True): 180, (False, True): 4000}
BATCHES = {(True, False): 10, (False, False): 20, (True, True): 60, (False, True): 100}
EMPTY_REPLY = "the model said nothing"  # what random weights may come to


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured, and on what."""

    folder: Path
    rows: tuple[ImageRecord, ...]
    seeds_images: int
    batch: int
    new_tokens: int  # of a narrative; half as many of captions and answers
    device: str
    dtype_name: str
    size: random_models.Size
    language: str
    threads: int

    def job(self, images: int | None = None) -> Job:
        import torch

        paths = tuple(Path(row.location.path) for row in self.rows[:images])
        return Job(paths, self.batch, self.threads, self.device, getattr(torch, self.dtype_name))

    def model(self, name: str) -> Path:
        """The folder of a random model, made once."""
        folder = self.folder / f"{name}-{self.size}"
        if folder.is_dir():
            return folder
        making = random_models.Making(self.size, self.device, self.dtype_name)
        return random_models.folder_of(random_models.saved(self.folder, name, making))

    @contextmanager
    def stage(self, **sections: Mapping[str, object]) -> Iterator[VerbalizeStage]:
        """The stage with these sections, open; the others are of the kind `pixels`, and not asked."""
        made = VerbalizeStage(validate(VerbalizeSettings, sections, "verbalize"), seed=0)
        services = ServiceSettings(intake=IntakeSettings(), threads=self.threads, journal=self.journal, run_id="bench")
        with open_services(services, threading.Event()) as opened, made.opened(opened) as stage:
            yield stage

    @property
    def journal(self) -> Path:
        return self.folder / "journal.sqlite"

    def ours(self, stage: VerbalizeStage, verbalize: Callable[[list[DecodedImage]], Sequence[object]]) -> Loop:
        """All images through `verbalize`, in the groups and calls in which a run works on them."""

        def loop() -> int:
            with contextlib.closing(sqlite3.connect(self.journal)) as journal, journal:
                journal.execute("DELETE FROM answers")  # of the round before
            count = 0
            for call in batches(self.rows, stage.images_at_once):
                for group in stage.decoded(call):
                    images = [image for image in group.images if isinstance(image, DecodedImage)]
                    assert len(images) == len(group.rows), group.images
                    found = verbalize(images)
                    failures = [one.detail for one in found if isinstance(one, ImageFailure)]
                    failed = [detail for detail in failures if not detail.startswith(EMPTY_REPLY)]
                    assert not failed, failed[0]
                    count += len(found)
            return count

        return loop


# ---- ways  ----------------------------------------------------------------------------------------------------------


@contextmanager
def clip_ways(bench: Bench) -> Iterator[Ways]:
    import open_clip

    name = random_models.clip_name(bench.size)
    checkpoint = bench.model("clip") / "open_clip_model.safetensors"
    lists = {}
    for section, built_in in (("places", "places"), ("objects", "imagenet"), ("concepts", "concepts")):
        path = bench.folder / f"{section}.txt"
        path.write_text("\n".join(load_labels(built_in).labels[: LABELS[bench.size]]), "utf-8")
        lists[section] = {"labels": str(path)}
    concepts = {
        "kind": "clip", "model": name, "pretrained": str(checkpoint), "device": bench.device, "batch_size": bench.batch,
        "dtype": bench.dtype_name, "cache_folder": str(bench.folder / "features"), **lists,
    }  # fmt: skip
    with bench.stage(concepts=concepts) as stage:
        labeller = stage.verbalizers.concepts
        assert isinstance(labeller, ClipConcepts), "of the kind that was asked for"
        # The same text features, worked out once: what differs is only what is done with images.
        texts = [(index.features, top_k) for index, top_k in zip(labeller._indexes.values(), (2, 3, 3), strict=True)]
        clip = bare_loops.load_clip(name, checkpoint, bench.job(), texts)
        loops = {
            "ours": bench.ours(stage, labeller.concepts),
            "bare": bare_loops.clip_batched(bench.job(), clip),
            "seeds": bare_loops.clip_single(bench.job(bench.seeds_images), clip),
            "forward": bare_loops.clip_forward(bench.job(), clip),
        }
        yield Ways(loops, peak.clip_tower(open_clip.get_model_config(name)["vision_cfg"]).flops)


@contextmanager
def narrative_ways(bench: Bench) -> Iterator[Ways]:
    draw = {"temperature": 1.1, "top_p": 0.95, "max_new_tokens": bench.new_tokens}
    section = {**_generator(bench), "count": TEXTS_AN_IMAGE, "draw": draw}
    with bench.stage(narratives=section) as stage:
        narrator = stage.verbalizers.narratives
        assert isinstance(narrator, ModelNarratives), "of the kind that was asked for"
        prompts = (narrative_prompt(narrator.model.form, None),)
        asked = TextRequest(prompts, bench.new_tokens, samples=TEXTS_AN_IMAGE, temperature=1.1, top_p=0.95)
        yield _text_ways(bench, narrator.model, asked, bench.ours(stage, narrator.narratives))


@contextmanager
def caption_ways(bench: Bench) -> Iterator[Ways]:
    new_tokens = bench.new_tokens // 2
    with bench.stage(captions={**_generator(bench), "draw": {"max_new_tokens": new_tokens}}) as stage:
        captioner = stage.verbalizers.captions
        assert isinstance(captioner, ModelCaptions), "of the kind that was asked for"
        proposals = tuple(Proposal(box, "thing", 0.5, "thing", 0.5) for box in BOXES)
        form = captioner.model.form
        prompts = tuple(caption_prompt(form, box, None, drawn=True) for box in BOXES)
        asked = TextRequest(prompts, new_tokens, tuple((box.x1, box.y1, box.x2, box.y2) for box in BOXES))
        loop = bench.ours(stage, lambda images: captioner.captions(images, [proposals] * len(images)))
        yield _text_ways(bench, captioner.model, asked, loop)


@contextmanager
def probe_ways(bench: Bench) -> Iterator[Ways]:
    new_tokens = bench.new_tokens // 2
    questions = FIRST_QUESTIONS[:TEXTS_AN_IMAGE]
    section = {**_generator(bench), "draw": {"max_new_tokens": new_tokens}, "questions": questions}
    with bench.stage(probes=section) as stage:
        prober = stage.verbalizers.probes
        assert isinstance(prober, ModelProbes), "of the kind that was asked for"
        prompts = tuple(answer_prompt("", prober.model.form, question, None) for question in questions)
        loop = bench.ours(stage, lambda images: prober.probes(images, [_draft(image) for image in images]))
        yield _text_ways(bench, prober.model, TextRequest(prompts, new_tokens), loop)


@contextmanager
def region_ways(bench: Bench) -> Iterator[Ways]:
    model = bench.model("detector")
    regions = {
        "kind": "detector",
        "model": str(model),
        "device": bench.device,
        "batch_size": bench.batch,
        "dtype": bench.dtype_name,
        "min_probability": LEAST_PROBABILITY,
    }
    with bench.stage(regions=regions) as stage:
        detector = bare_loops.load_detector(model, bench.job(), LEAST_PROBABILITY)
        loops = {
            "ours": bench.ours(stage, stage.verbalizers.regions.regions),
            "bare": bare_loops.detect_batched(bench.job(), detector),
            "seeds": bare_loops.detect_single(bench.job(bench.seeds_images), detector),
            "forward": bare_loops.detect_forward(bench.job(), detector),
        }
        yield Ways(loops, None)


# A part is its function and a line here.
PARTS: Mapping[str, Callable[[Bench], Any]] = {  # Any: a context manager of `Ways`
    "clip": clip_ways,
    "narratives": narrative_ways,
    "captions": caption_ways,
    "probes": probe_ways,
    "regions": region_ways,
}


def _generator(bench: Bench) -> dict[str, object]:
    return {
        "kind": "generator",
        "model": str(bench.model(bench.language)),
        "device": bench.device,
        "dtype": bench.dtype_name,
        "batch_size": bench.batch,
    }


def _draft(image: DecodedImage) -> Verbalization:
    return Verbalization(image.image_id, (), (), (), ())


def _text_ways(bench: Bench, model: ImageTextModel, asked: TextRequest, ours: Loop) -> Ways:
    """`asked` in the model's words; both sides run the same loaded model."""
    assert isinstance(model.chat, LocalChat), "it runs here"
    loaded = model.chat.generator.loaded
    if loaded.form == "chat":
        slots = [{"type": "image"}]
        talks = [[{"role": "user", "content": [*slots, {"type": "text", "text": text}]}] for text in asked.prompts]
        worded = loaded.processor.apply_chat_template(talks, add_generation_prompt=True, tokenize=False)
        asked = TextRequest(
            tuple(worded), asked.new_tokens, asked.boxes, asked.samples, asked.temperature, asked.top_p
        )  # fmt: skip
    text_model = TextModel(loaded.model, loaded.processor, nests_images=loaded.form == "chat")
    sample = loaded.processor(
        images=[PIL.Image.new("RGB", (64, 64))], text=[max(asked.prompts, key=len)], return_tensors="pt"
    )
    flops = peak.text_flops(loaded.model.config, sample["input_ids"].shape[1], asked.new_tokens)
    loops = {
        "ours": ours,
        "bare": bare_loops.generate_batched(bench.job(), text_model, asked),
        "seeds": bare_loops.generate_single(bench.job(bench.seeds_images), text_model, asked),
        "forward": bare_loops.generate_forward(bench.job(), text_model, asked),
    }
    return Ways(loops, flops * asked.texts_an_image, token_counter(loaded.model))


# ---- a run -----------------------------------------------------------------------------------------------------------


def draw(folder: Path, count: int, side_px: tuple[int, int] = (640, 480)) -> tuple[ImageRecord, ...]:
    """So many different JPEG files of about 100 KB, and their records."""
    folder.mkdir()
    rng, rows = np.random.default_rng(0), []
    for number in range(count):
        coarse = rng.integers(0, 256, (side_px[1] // 8, side_px[0] // 8, 3), dtype=np.uint8)
        path = folder / f"{number:05d}.jpg"
        PIL.Image.fromarray(coarse).resize(side_px, PIL.Image.Resampling.BICUBIC).save(path, quality=92)
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        rows.append(ImageRecord(digest, *side_px, "JPEG", "RGB", len(data), path.name, Location(str(path))))
    return tuple(rows)


def machine(bench: Bench, best: float | None) -> str:
    import torch
    import transformers

    name = f"{bench.threads} cores"
    if best is not None:
        name += f", {torch.cuda.get_device_name(bench.device)}, best matrix product {best / 1e12:.0f} TFLOP/s"
    return (
        f"{time.strftime('%Y-%m-%d')}, {name}; torch {torch.__version__} with {torch.get_num_threads()} threads,"
        f" transformers {transformers.__version__}; {bench.size} models, {bench.dtype_name}, batches of {bench.batch},"
        f" {bench.new_tokens} and {bench.new_tokens // 2} new tokens, {len(bench.rows)} images,"
        f" load {os.getloadavg()[0]:.1f}"
    )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--images", type=int, help="by default 20 for models that write and 160 for the others on a CPU"
    )
    parser.add_argument("--seeds-images", type=int, default=None, help="for the seeds' way, which is slow")
    parser.add_argument("--batch", type=int, default=None, help=f"a multiple of {TEXTS_AN_IMAGE}")
    parser.add_argument("--new-tokens", type=int, default=None, help="of a narrative; captions and answers take half")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--language", choices=("llava", "blip2"), default="llava", help="the model that writes")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--models", type=Path, default=None, help="where random models are kept; else they are thrown away"
    )
    chosen = parser.parse_args()
    on_gpu = chosen.device.startswith("cuda")
    chosen.new_tokens = chosen.new_tokens or (96 if on_gpu else 24)
    if chosen.batch is not None and chosen.batch % TEXTS_AN_IMAGE:
        parser.error(f"--batch: a multiple of {TEXTS_AN_IMAGE} is expected, not {chosen.batch}")
    return chosen


def bench_of(chosen: argparse.Namespace, part: str, folder: Path, rows: Sequence[ImageRecord]) -> Bench:
    """What is measured of `part`: models that write are slow, and get fewer images."""
    writes, on_gpu = part in WRITERS, chosen.device.startswith("cuda")
    images = chosen.images or IMAGES[writes, on_gpu]
    return Bench(
        folder=folder,
        rows=tuple(rows[:images]),
        seeds_images=min(images, chosen.seeds_images or (2 if writes else 32)),
        batch=chosen.batch or BATCHES[writes, on_gpu],
        new_tokens=chosen.new_tokens,
        device=chosen.device,
        dtype_name=chosen.dtype,
        size=chosen.size,
        language=chosen.language,
        threads=chosen.threads,
    )


def main() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else each worker process warns that it was forked
    chosen = options()
    import torch
    import transformers

    torch.set_num_threads(chosen.threads)
    logging: Any = transformers.utils.logging  # untyped
    logging.disable_progress_bar()
    on_gpu = chosen.device.startswith("cuda")
    best = peak.matmul_peak(chosen.device, getattr(torch, chosen.dtype)) if on_gpu else None
    results, costs = {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        most = chosen.images or max(IMAGES[part in WRITERS, on_gpu] for part in chosen.parts)
        rows = draw(folder / "images", most)
        for part in chosen.parts:
            bench = bench_of(chosen, part, chosen.models or folder, rows)
            with PARTS[part](bench) as ways:
                skip = () if on_gpu else ("forward",)
                plan = Plan(len(bench.rows), bench.seeds_images, chosen.device, chosen.rounds, 1, skip)
                results[part] = measure(ways, plan)
                costs[part] = ways.flops_an_image
                report(part, ways, results[part], best)
                print(f"  {machine(bench, best)}", flush=True)
            del ways
    markdown(results, costs, best)


if __name__ == "__main__":
    main()
