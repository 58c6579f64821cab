"""What the verbalizers are measured against: loops over the same models, written with their libraries alone.

Used by `benchmarks/verbalizing.py`. Nothing of Ostensive is imported here. Each model has two loops: `batched`, as a
competent engineer writes it (a `DataLoader` whose worker processes open, draw on and preprocess the images, batches of
the size that ours has, `inference_mode`, the library's own sampling), and `single`, as the methods' published code does
it (one image at a time, one query at a time, no workers). A loop is a function without arguments that goes over all
images once and returns how many results it had; its worker processes stay from one call to the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: models and batches of libraries that type them in part or not at all

import PIL.Image
import PIL.ImageDraw

SHOWN_SIDE_PX = 1024
Loop = Callable[[], int]
BoxXyxy = tuple[float, float, float, float]  # normalised to 0-1


@dataclass(frozen=True, slots=True)
class Job:
    """What a loop goes over, and how."""

    paths: tuple[Path, ...]
    batch: int  # images, or texts, at a time
    workers: int  # processes that prepare
    device: str
    dtype: Any  # a torch.dtype


def opened(path: Path) -> PIL.Image.Image:
    """The image at `path` in RGB."""
    with PIL.Image.open(path) as image:
        return image.convert("RGB")


def _loader(job: Job, images_at_once: int, collate: Callable[[list[Path]], Any]) -> Any:
    from torch.utils.data import DataLoader

    kind: Any = DataLoader  # a list of paths will do as a data set
    return kind(
        list(job.paths),
        batch_size=images_at_once,
        num_workers=job.workers,
        collate_fn=collate,
        persistent_workers=True,
        pin_memory=job.device.startswith("cuda"),
    )


# ---- contrastive models ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClipParts:
    """A model of open_clip, and text features `(labels, width)` of unit length with how many of each list are named."""

    model: Any
    preprocess: Any
    texts: tuple[tuple[Any, int], ...]


def load_clip(name: str, checkpoint: Path, job: Job, texts: Sequence[tuple[Any, int]]) -> ClipParts:
    import open_clip

    precision = {"torch.float32": "fp32", "torch.bfloat16": "bf16", "torch.float16": "fp16"}[str(job.dtype)]
    model, preprocess = open_clip.create_model_from_pretrained(
        name, pretrained=str(checkpoint), precision=precision, device=job.device
    )
    return ClipParts(model.eval(), preprocess, tuple(texts))


def clip_batched(job: Job, clip: ClipParts) -> Loop:
    import torch

    def collate(paths: list[Path]) -> torch.Tensor:
        return torch.stack([clip.preprocess(opened(path)) for path in paths])

    loader = _loader(job, job.batch, collate)

    def loop() -> int:
        with torch.inference_mode():
            return sum(len(_top_labels(job, clip, pixels)) for pixels in loader)

    return loop


def clip_single(job: Job, clip: ClipParts) -> Loop:
    import torch

    def loop() -> int:
        count = 0
        with torch.inference_mode():
            for path in job.paths:
                pixels = clip.preprocess(opened(path))[None]
                for texts in clip.texts:  # each list is a query of its own
                    count += len(_top_labels(job, ClipParts(clip.model, clip.preprocess, (texts,)), pixels))
        return count // len(clip.texts)

    return loop


def clip_forward(job: Job, clip: ClipParts) -> Loop:
    """The model alone on one batch that lies on the device, as often as there are batches."""
    import torch

    side_px = clip.model.visual.image_size
    height, width = side_px if isinstance(side_px, tuple) else (side_px, side_px)
    pixels = torch.randn(job.batch, 3, height, width, device=job.device, dtype=job.dtype)
    batches = -(-len(job.paths) // job.batch)

    def loop() -> int:
        with torch.inference_mode():
            for _ in range(batches):
                clip.model.encode_image(pixels)
        return batches * job.batch

    return loop


def _top_labels(job: Job, clip: ClipParts, pixels: Any) -> list[Any]:
    import torch.nn.functional

    features = clip.model.encode_image(pixels.to(job.device, job.dtype, non_blocking=True))
    features = torch.nn.functional.normalize(features.float(), dim=-1)
    found = [(features @ texts.T).topk(top_k).indices.tolist() for texts, top_k in clip.texts]
    return list(zip(*found, strict=True))


# ---- image-text models ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextRequest:
    """What is asked of each image: `prompts`, or one prompt for each of `boxes`, or one prompt `samples` times."""

    prompts: tuple[str, ...]  # as the processor takes them, image slot included
    new_tokens: int  # of each text, no fewer and no more
    boxes: tuple[BoxXyxy, ...] = ()  # drawn on the image, each for a prompt of its own
    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0

    @property
    def texts_an_image(self) -> int:
        return len(self.prompts) * self.samples


@dataclass(frozen=True, slots=True)
class TextModel:
    """A model of transformers and its processor, padding set."""

    model: Any
    processor: Any
    nests_images: bool  # a list of images for each prompt


def generate_batched(job: Job, text_model: TextModel, asked: TextRequest) -> Loop:
    images_at_once = max(1, job.batch // asked.texts_an_image)

    def collate(paths: list[Path]) -> Any:
        images = [shown for path in paths for shown in _shown(opened(path), asked)]
        return _processed(text_model, images, list(asked.prompts) * len(paths))

    loader = _loader(job, images_at_once, collate)
    return lambda: sum(_generated_count(job, text_model, asked, inputs, asked.samples) for inputs in loader)


def generate_single(job: Job, text_model: TextModel, asked: TextRequest) -> Loop:
    def loop() -> int:
        count = 0
        for path in job.paths:
            for _ in range(asked.samples):
                for number, prompt in enumerate(asked.prompts):
                    shown = _shown(opened(path), asked)[number]
                    count += _generated_count(job, text_model, asked, _processed(text_model, [shown], [prompt]), 1)
        return count

    return loop


def generate_forward(job: Job, text_model: TextModel, asked: TextRequest) -> Loop:
    """The model alone on one batch that lies on the device, greedily, as often as there are batches."""
    images_at_once = max(1, job.batch // asked.texts_an_image)
    images = [shown for path in job.paths[:images_at_once] for shown in _shown(opened(path), asked) * asked.samples]
    prompts = list(asked.prompts) * (asked.samples * images_at_once)
    inputs = _processed(text_model, images, prompts[: len(images)]).to(job.device, job.dtype)
    greedy = TextRequest(asked.prompts, asked.new_tokens)
    batches = -(-len(job.paths) // images_at_once)
    return lambda: sum(_generated_count(job, text_model, greedy, inputs, 1) for _ in range(batches))


def _shown(image: PIL.Image.Image, asked: TextRequest) -> list[PIL.Image.Image]:
    """The image for each prompt."""
    if not asked.boxes:
        return [image] * len(asked.prompts)
    image.thumbnail((SHOWN_SIDE_PX, SHOWN_SIDE_PX), reducing_gap=3.0)
    pictures = []
    for x1, y1, x2, y2 in asked.boxes:
        picture = image.copy()
        corners = (x1 * image.width, y1 * image.height, x2 * image.width, y2 * image.height)
        PIL.ImageDraw.Draw(picture).rectangle(corners, outline="red", width=4)
        pictures.append(picture)
    return pictures


def _processed(text_model: TextModel, images: list[PIL.Image.Image], prompts: list[str]) -> Any:
    given: Any = [[image] for image in images] if text_model.nests_images else images
    return text_model.processor(images=given, text=prompts, padding=True, return_tensors="pt")


def _generated_count(job: Job, text_model: TextModel, asked: TextRequest, inputs: Any, samples: int) -> int:
    """How many texts the model says to a batch."""
    import torch

    draws = {"do_sample": True, "temperature": asked.temperature, "top_p": asked.top_p, "top_k": 0}
    with torch.inference_mode():
        tokens = text_model.model.generate(
            **inputs.to(job.device, job.dtype),
            max_new_tokens=asked.new_tokens,
            min_new_tokens=asked.new_tokens,
            num_return_sequences=samples,
            **(draws if asked.temperature else {"do_sample": False}),
        )
    return len(text_model.processor.batch_decode(tokens[:, -asked.new_tokens :], skip_special_tokens=True))


# ---- detectors ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Detector:
    """An object detector of transformers and its processor."""

    model: Any
    processor: Any
    least_probability: float


def load_detector(folder: Path, job: Job, least_probability: float) -> Detector:
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    model: Any = AutoModelForObjectDetection.from_pretrained(folder, dtype=job.dtype)
    processors: Any = AutoImageProcessor  # transformers leaves it untyped
    return Detector(model.to(job.device).eval(), processors.from_pretrained(folder), least_probability)


def detect_batched(job: Job, detector: Detector) -> Loop:
    def collate(paths: list[Path]) -> Any:
        images = [opened(path) for path in paths]
        inputs = detector.processor(images=images, return_tensors="pt")
        return inputs, [(image.height, image.width) for image in images]

    loader = _loader(job, job.batch, collate)
    return lambda: sum(_found(job, detector, inputs, sizes) for inputs, sizes in loader)


def detect_single(job: Job, detector: Detector) -> Loop:
    def loop() -> int:
        count = 0
        for path in job.paths:
            image = opened(path)
            inputs = detector.processor(images=image, return_tensors="pt")
            count += _found(job, detector, inputs, [(image.height, image.width)])
        return count

    return loop


def detect_forward(job: Job, detector: Detector) -> Loop:
    """The model alone on one batch that lies on the device, as often as there are batches."""
    import torch

    images = [opened(path) for path in job.paths[: job.batch]]
    inputs = detector.processor(images=images, return_tensors="pt").to(job.device, job.dtype)
    batches = -(-len(job.paths) // job.batch)

    def loop() -> int:
        with torch.inference_mode():
            for _ in range(batches):
                detector.model(**inputs)
        return batches * len(images)

    return loop


def _found(job: Job, detector: Detector, inputs: Any, sizes: list[tuple[int, int]]) -> int:
    """For how many images the model's detections were worked out."""
    import torch

    with torch.inference_mode():
        outputs = detector.model(**inputs.to(job.device, job.dtype))
        found = detector.processor.post_process_object_detection(
            outputs, threshold=detector.least_probability, target_sizes=torch.tensor(sizes)
        )
    return len([{name: values.tolist() for name, values in each.items()} for each in found])
