"""Whether a server lets us in at all, asked before any work is done.

One request for the list of models, which costs nothing. Only a refused key is taken for an answer: a server may lack
the list, a key may be allowed to chat and not to list, and a server that is not up yet will be asked again later.
"""

import os
from collections.abc import Mapping

from ostensive.chat.endpoint import resolve_endpoint
from ostensive.errors import AccessRefusedError
from ostensive.recipe import ServedModelSettings


def check_key(settings: ServedModelSettings, environment: Mapping[str, str] = os.environ) -> None:
    """Raises `AccessRefusedError` if the server says that the key is not valid; says nothing otherwise.

    Raises `SettingsError` if the address is unusable or the key is missing.
    """
    import httpx2
    import openai

    endpoint = resolve_endpoint(settings, environment)
    with openai.OpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key.get_secret_value(),
        timeout=settings.connect_timeout_s,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=not endpoint.loopback),
    ) as client:
        try:
            client.get("/models", cast_to=httpx2.Response)
        except openai.AuthenticationError as error:
            raise AccessRefusedError(
                f"{endpoint.base_url} refuses the key ({' '.join(endpoint.scrub(str(error)).split())[:200]}); "
                f"check {settings.key_variable} or {settings.section}.api_key"
            ) from None  # the original holds the key in its request
        except (openai.OpenAIError, httpx2.HTTPError):
            return
