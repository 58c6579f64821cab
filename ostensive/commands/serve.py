"""`ostensive serve-scripted`."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command("serve-scripted")
def serve_scripted(
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="The recipe to whose prompts it answers.")
    ] = "localized",
    host: Annotated[
        str, typer.Option("--host", help="Address to bind; loopback unless you say otherwise.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    error_rate: Annotated[float, typer.Option("--error-rate", min=0, max=1, help="Share of faulty triples.")] = 0.0,
    latency: Annotated[float, typer.Option("--latency", min=0, metavar="SECONDS", help="Time to each answer.")] = 0.0,
    faults: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="KIND=SHARE", help="E.g. `server_error=0.1`; may be repeated."),
    ] = None,
    max_attempts: Annotated[int, typer.Option("--faulty-attempts", min=1, help="Faults per request, at most.")] = 1,
) -> None:
    """Serve the scripted teacher over HTTP in the OpenAI format, to rehearse a recipe against a server."""
    from builders.table import load, recipe_kind
    from ostensive.chat.faults import Faults, parse_faults
    from ostensive.chat.server import ServerSettings, serve

    stand_ins = [
        "corpus.license=unknown",
        "corpus.source=unknown",
        "corpus.intended_use=unknown",
        f"teacher.error_rate={error_rate}",
    ]
    script = recipe_kind(recipe).script(load(recipe, stand_ins=stand_ins))
    chances = parse_faults(faults or [])
    settings = ServerSettings(latency_s=latency, faults=Faults(**chances, most_per_request=max_attempts))
    serve(script, settings, host=host, port=port, on_ready=typer.echo)
