"""Boots the inference service.

This is the main module of its process (see `__main__`), and so each process that vLLM spawns imports it under the name
``__mp_main__`` before anything else; what the server needs is imported only where the server runs.
"""

from typing import assert_never

from services.inference.engines.vllm.process import leave_process_group


def main() -> None:
    """Boots the service with the engine that the settings name."""
    from services.inference.engines.engine import Engine
    from services.inference.sampling import Sampler
    from services.inference.servicer import InferenceComponent
    from services.inference.settings import InferenceSettings
    from services.serving.app import run
    from services.serving.packages import require_packages
    from services.serving.settings import load_settings

    settings = load_settings(InferenceSettings)
    engine: Engine
    if settings.engine == "vllm":
        require_packages("inference", "cpu", "vllm", "torch")
        from services.inference.engines.vllm.engine import VllmEngine

        engine = VllmEngine(settings)
    elif settings.engine == "openai":
        from services.inference.engines.openai.engine import OpenAIEngine

        engine = OpenAIEngine(settings)
    elif settings.engine == "scripted":
        from services.inference.engines.scripted import ScriptedEngine

        engine = ScriptedEngine(settings)
    else:
        assert_never(settings.engine)
    run(InferenceComponent(Sampler(engine, settings)), settings)


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":
    leave_process_group()
