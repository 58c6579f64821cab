"""`ostensive recipes`."""

from pathlib import Path
from typing import Annotated

import typer

from ostensive.commands.options import AsJson, RecipeName, path_given_as
from ostensive.commands.terminal import print_lines

recipes_app = typer.Typer(
    help="List, show and copy the built-in recipes; write their JSON Schema.", no_args_is_help=True
)


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """List the built-in recipes."""
    from builders.table import recipes_with_titles
    from ostensive.commands.show import to_json

    names = recipes_with_titles()
    print_lines([to_json(names)] if as_json else (f"{name:<14}{about}" for name, about in names.items()))


@recipes_app.command("show")
def recipes_show(
    name: RecipeName,
    full: Annotated[bool, typer.Option("--full", help="Write every setting out, defaults included.")] = False,
) -> None:
    """Print a recipe."""
    from builders.table import show_recipe

    print_lines([show_recipe(name, full=full).rstrip()])


@recipes_app.command("copy")
def recipes_copy(
    name: RecipeName, path: Annotated[Path, typer.Argument(metavar="PATH", parser=path_given_as("path"))]
) -> None:
    """Copy a built-in recipe to a file of your own."""
    from builders.table import copy_recipe
    from ostensive.user_paths import shown_path

    print_lines([shown_path(copy_recipe(name, path))])


@recipes_app.command("schema")
def recipes_schema(name: RecipeName = "localized") -> None:
    """Print the JSON Schema of a recipe, for editors."""
    from builders.table import recipe_schema

    print_lines([recipe_schema(name)])
