"""Losses from the log-probabilities of tokens, for what TRL's supervised trainer has no loss for.

ILLUME (equation 1) adds a loss of answers and `b` times one of rationales, a mean over the tokens of each. TRL has no
weights of rows or sources, and an interleaved data set gives `b` in expectation only. So every step holds both in fixed
numbers, and each mean is over the whole step, however it is cut into batches and processes.

BLIP-2 is trained by this too: TRL takes the states of a model below its language head from a part that BLIP-2 does not
have.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final  # Any: TRL and transformers type their classes in part

from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint

IS_RATIONALE: Final = "is_rationale"
"""The column that says whether the completion of a row is a rationale."""


def has_backbone(model: Any) -> bool:
    """Whether TRL finds the part of a model whose states its language head reads."""
    return model.base_model is not model


class StepOrder:
    """The order of rows in which each step of `step_rows` has `rationales_a_step` rationales, drawn anew each epoch.

    An epoch is over when both kinds have been seen once; the smaller one is begun again until then. A sampler for
    torch's data loader: rows are numbers.
    """

    def __init__(
        self,
        is_rationale: Sequence[bool],
        *,
        step_rows: int,
        rationales_a_step: int,
        seed: int,
        epoch: Callable[[], int],
    ) -> None:
        """`epoch` gives the epoch that an iteration is of, from 0."""
        self._kinds = tuple(
            [place for place, is_one in enumerate(is_rationale) if is_one is kind] for kind in (True, False)
        )
        self._a_step = (rationales_a_step, step_rows - rationales_a_step)
        self._seed, self._epoch = seed, epoch

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return max(-(-len(rows) // count) for rows, count in zip(self._kinds, self._a_step, strict=True))

    def __len__(self) -> int:
        return self.steps * sum(self._a_step)

    def __iter__(self) -> Iterator[int]:
        draw = Random(fingerprint([self._seed, self._epoch()]))  # noqa: S311 - an order, no secret
        streams = [_endless(rows, draw) for rows in self._kinds]
        for _ in range(self.steps):
            step = [next(stream) for stream, count in zip(streams, self._a_step, strict=True) for _ in range(count)]
            draw.shuffle(step)
            yield from step


def rationales_a_step(rationales: int, answers: int, *, step_rows: int, wanted: int | None) -> int:
    """How many of the rows of a step are rationales: their share of all rows, at least 1, or `wanted`.

    Raises `SettingsError` where a step cannot hold both.
    """
    if step_rows < 2:
        raise SettingsError(
            "rationale_loss: a step holds answers and rationales, so at least 2 rows; set batch_size or accumulate"
        )
    if wanted is not None and wanted >= step_rows:
        raise SettingsError(
            f"rationale_loss.rationales_a_step: {wanted} of the {step_rows} rows of a step leave none for answers;"
            f" at most {step_rows - 1} can be had"
        )
    share = round(step_rows * rationales / (rationales + answers))
    return wanted or min(max(share, 1), step_rows - 1)


def make_token_loss_trainer(arguments: dict[str, Any], weight: float | None, wanted: int | None) -> Any:
    """TRL's supervised trainer, made with `arguments`, with the loss of this module.

    `weight` is ILLUME's b, None for one mean over all tokens; `wanted` is how many rows of a step are rationales.
    """
    import torch
    from trl.trainer.sft_trainer import SFTTrainer

    rows = arguments["train_dataset"]

    class TokenLossTrainer(SFTTrainer):
        """The mean over the tokens of answers, and `weight` times that over those of rationales."""

        loss_is_scaled_for_ga: Any = True  # each mean is over all batches of a step

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            if weight is None:
                return super()._get_train_sampler(train_dataset)
            kinds = rows[IS_RATIONALE][:]
            step_rows = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
            count = rationales_a_step(sum(kinds), len(kinds) - sum(kinds), step_rows=step_rows, wanted=wanted)
            return StepOrder(
                kinds,
                step_rows=step_rows,
                rationales_a_step=count,
                seed=self.args.seed,
                # The state is what a checkpoint restores; it is whole at the end of an epoch up to rounding.
                epoch=lambda: int((self.state.epoch or 0.0) + 1e-6),
            )

        def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> Any:
            """Tokens of answers and of rationales in all batches of a step, of all processes: (2,)."""
            counts = torch.stack([_token_counts(batch) for batch in batch_samples]).sum(0).to(device)
            return self.accelerator.reduce(counts, "sum")

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,  # noqa: ARG002 - of the library
            num_items_in_batch: Any = None,
        ) -> Any:
            counts = _token_counts(inputs) if num_items_in_batch is None else num_items_in_batch
            is_rationale = _kinds_of(inputs).to(inputs["labels"].device)
            inputs = {name: value for name, value in inputs.items() if name != IS_RATIONALE}
            losses = token_losses(model, inputs, is_fused=is_fused).sum(1)
            means = [losses[kind].sum() / count.clamp(min=1) for kind, count in _each(is_rationale, counts)]
            self._note(model, inputs, means)
            loss = means[0] + (1.0 if weight is None else weight) * means[1]
            # Gradients are averaged over processes, while the counts are of all of them.
            return loss * (1 if num_items_in_batch is None else self.accelerator.num_processes)

        def _note(self, model: Any, inputs: Any, means: Sequence[Any]) -> None:
            """For the log: tokens so far, and both means, whose parts in the batches of a step add up."""
            is_training = model.training
            mode = "train" if is_training else "eval"
            if is_training:
                self._total_train_tokens += int(self.accelerator.reduce(inputs["attention_mask"].sum(), "sum"))
                self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
            if weight is not None:
                parts = self.current_gradient_accumulation_steps if is_training else 1
                for name, mean in zip(("answer_loss", "rationale_loss"), means, strict=True):
                    self._metrics[mode][name].append(float(self.accelerator.reduce(mean.detach(), "sum")) * parts)

    is_fused = has_backbone(arguments["model"])
    trainer = TokenLossTrainer(**arguments)
    if weight is not None:
        trainer.data_collator = _with_kinds(trainer.data_collator)
    return trainer


def token_losses(model: Any, inputs: Any, *, is_fused: bool) -> Any:
    """Minus the log-probability of each token from the second on: (rows, length - 1), 0 where it carries no loss.

    `is_fused` has TRL's head work them out, which needs less memory than all logits and a model with a backbone.
    """
    import torch

    labels = inputs["labels"]
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    if is_fused:
        return -model(**rest, labels=labels, fused_lm_head=True).log_probs
    logits = model(**rest).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="none")


def _with_kinds(collate: Any) -> Callable[[list[dict[str, Any]]], Any]:
    import torch

    def collated(examples: list[dict[str, Any]]) -> Any:
        batch = collate(examples)
        batch[IS_RATIONALE] = torch.tensor([bool(example[IS_RATIONALE]) for example in examples])
        return batch

    return collated


def _kinds_of(inputs: Any) -> Any:
    import torch

    kinds = inputs.get(IS_RATIONALE)
    return torch.zeros(len(inputs["labels"]), dtype=torch.bool) if kinds is None else kinds


def _token_counts(inputs: Any) -> Any:
    """Tokens that carry loss in rows of answers and in rows of rationales: (2,), integers."""
    import torch

    tokens = (inputs["labels"][:, 1:] != -100).sum(1)
    is_rationale = _kinds_of(inputs).to(tokens.device)
    return torch.stack([tokens[~is_rationale].sum(), tokens[is_rationale].sum()])


def _each(is_rationale: Any, counts: Any) -> Iterator[tuple[Any, Any]]:
    yield ~is_rationale, counts[0]
    yield is_rationale, counts[1]


def _endless(rows: Sequence[int], draw: Random) -> Iterator[int]:
    """The rows in one random order after another."""
    while True:
        order = list(rows)
        draw.shuffle(order)
        yield from order
