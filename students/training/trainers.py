"""The trainers of TRL as students are trained with them: which of their defaults change, and STIC's loss."""

from pathlib import Path
from typing import Any  # Any: TRL, peft and datasets ship types in part

from students.training.order import EpochOrder, StepOrder, rationales_a_step, set_order
from students.training.parts import make_trainable
from students.training.settings import StudentSettings
from students.training.token_loss import IS_RATIONALE, has_backbone, make_token_loss_trainer


def make_trainer(
    model: Any,
    processor: Any,
    rows: Any,
    settings: StudentSettings,
    folder: Path,
    *,
    explanation_weight: float | None = None,
) -> Any:
    """A trainer of `rows`, a `datasets.Dataset` in the form of the objective; its checkpoints go to `folder`.

    With `explanation_weight` the loss is ILLUME's, and rows have a column `is_rationale`.
    """
    adapter = make_trainable(model, settings)
    if settings.objective == "dpo":
        trainer = _preference_trainer(model, processor, rows, settings, folder, adapter)
    else:
        trainer = _supervised_trainer(model, processor, rows, settings, folder, adapter, explanation_weight)
    if explanation_weight is None:
        set_order(trainer, lambda epoch: EpochOrder(len(rows), seed=settings.seed, epoch=epoch))
        return trainer
    kinds = rows[IS_RATIONALE][:]
    step_rows = settings.batch_size * settings.accumulate * trainer.args.world_size
    wanted = settings.rationale_loss.rationales_a_step if settings.rationale_loss else None
    count = rationales_a_step(sum(kinds), len(kinds) - sum(kinds), step_rows=step_rows, wanted=wanted)
    set_order(
        trainer,
        lambda epoch: StepOrder(kinds, step_rows=step_rows, rationales_a_step=count, seed=settings.seed, epoch=epoch),
    )
    return trainer


def _supervised_trainer(
    model: Any,
    processor: Any,
    rows: Any,
    settings: StudentSettings,
    folder: Path,
    adapter: Any,
    explanation_weight: float | None,
) -> Any:
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    # A row is `prompt` and `completion`: TRL then trains on the completion alone.
    arguments: dict[str, Any] = {
        "model": model,
        "args": SFTConfig(**_common(settings, folder)),
        "train_dataset": rows,
        "processing_class": processor,
        "peft_config": adapter,
    }
    if explanation_weight is None and has_backbone(model):
        return SFTTrainer(**arguments)
    return make_token_loss_trainer(arguments, explanation_weight)


def _preference_trainer(
    model: Any, processor: Any, rows: Any, settings: StudentSettings, folder: Path, adapter: Any
) -> Any:
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    class ChosenLikelihoodTrainer(DPOTrainer):
        """DPO less `alpha` times the log-probability of the chosen text (STIC, section 4, equation of stage 1).

        TRL's loss "sft" is a mean over the tokens of all chosen texts of a batch; STIC's is a sum over those of each.
        The weight of the former is set so that it is the latter.
        """

        def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
            if settings.chosen_loss == "sum":
                chosen, _ = inputs["completion_mask"][:, 1:].chunk(2)
                self.loss_weights = [1.0, settings.alpha * float(chosen.sum()) / len(chosen)]
            return super()._compute_loss(model, inputs, return_outputs)  # type: ignore[no-untyped-call]  # of TRL

    return ChosenLikelihoodTrainer(
        model=model,
        args=DPOConfig(
            **_common(settings, folder),
            beta=settings.beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, settings.alpha],
        ),
        train_dataset=rows,
        processing_class=processor,
        peft_config=adapter,
    )


def _common(settings: StudentSettings, folder: Path) -> dict[str, Any]:
    """What both objectives are told."""
    return {
        "output_dir": str(folder),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulate,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": settings.warmup,  # below 1 it is a share
        "seed": settings.seed,
        "data_seed": settings.seed,
        "save_steps": settings.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "bf16": settings.dtype == "bfloat16",
        "activation_checkpointing": settings.gradient_checkpointing,
        "max_length": None,  # a text that is cut may lose part of its picture
        "remove_unused_columns": False,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": settings.device == "cpu",
        "dataloader_pin_memory": False,
    }
