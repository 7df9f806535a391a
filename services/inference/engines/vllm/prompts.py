"""Prompts as vLLM renders them with a model's chat template, and what that template does by itself."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from services.inference.engines.engine import Conversation, Message, Picture, Prepared, Role
from services.inference.engines.vllm.failures import request_failure
from services.inference.engines.vllm.templates import chat_messages, packaged_template, plain_prompt, template_text
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

logger = logging.getLogger(__name__)

_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
_USERS_TEXT, _SYSTEMS_TEXT = "tangerine", "cucumber"
"""Words that no template has of its own, to see where a text goes."""


class Prompts:
    """Renders conversations for one model.

    Args:
        llm: The engine that holds the model.
        settings: Which template, if not the model's own.
    """

    def __init__(self, llm: "AsyncLLM", settings: InferenceSettings) -> None:
        self._llm = llm
        self._settings = settings
        self._chat_template = template_text(settings.chat_template) or self._substitute()
        self._takes_system_prompts = True
        self._begins_text = False
        """Whether the token that begins a text is to be added, for the template doesn't write it."""
        self.template = ""
        """A user's message as the model reads it, {prompt} in place of its text; after `look`."""
        self.max_images = 1
        """Pictures that one conversation may have; after `look`."""

    def _substitute(self) -> str | None:
        """The packaged template for a model whose repository holds none; None if vLLM is to choose."""
        config = self._llm.model_config
        packaged = packaged_template(config.hf_config.model_type)
        if packaged is None or getattr(self._llm.get_tokenizer(), "chat_template", None) is not None:
            return None
        return None if any(map(self._in_repository, _TEMPLATE_FILES)) else packaged

    def _in_repository(self, name: str) -> bool:
        local = Path(self._settings.model).expanduser()
        if local.exists():
            return (local / name).exists()
        from huggingface_hub import try_to_load_from_cache

        revision = self._settings.revision or None
        return isinstance(try_to_load_from_cache(self._settings.model, name, revision=revision), str)

    async def look(self) -> None:
        """Renders two conversations, to learn what the template adds and whether it takes a system prompt.

        Raises:
            FailedPrecondition: If the model can't be asked at all, as one without a template.
        """
        user = Message(Role.USER, _USERS_TEXT)
        try:
            self._begins_text = await self._lacks_beginning(Conversation([user]))
            self.template = (await self._text_of(Conversation([user]))).replace(_USERS_TEXT, "{prompt}")
        except InvalidArgument as error:
            raise FailedPrecondition(
                "the model has no chat template, or one that can't be applied, see the log above; set "
                "AXIA_INFERENCE_CHAT_TEMPLATE to one, or AXIA_INFERENCE_COMPLETION_TEMPLATE to a plain-text template "
                'such as "Question: {prompt} Answer:"',
                reason="TEMPLATE_MISSING",
            ) from error
        try:
            text = await self._text_of(Conversation([Message(Role.SYSTEM, _SYSTEMS_TEXT), user]))
        except InvalidArgument:  # most templates without a place for one raise
            self._takes_system_prompts = False
        else:
            self._takes_system_prompts = _SYSTEMS_TEXT in text
        if not self._takes_system_prompts:
            logger.info("the chat template doesn't support system prompts; requests with one are refused")
        if self._llm.model_config.is_multimodal_model:
            await self._look_at_a_picture(user)

    async def _look_at_a_picture(self, user: Message) -> None:
        picture = Picture(Image.new("RGB", (64, 64)), "0" * 64)
        try:
            await self._render(Conversation([user], [picture]))
        except InvalidArgument as error:
            raise FailedPrecondition(
                "the model's prompt can't contain an image, see the log above; with AXIA_INFERENCE_COMPLETION_TEMPLATE "
                "set AXIA_INFERENCE_IMAGE_PLACEHOLDER to the model's own, such as <image>; for a model in Mistral's "
                "own format (tekken.json), use the version for transformers",
                reason="IMAGE_PLACEHOLDER_MISSING",
            ) from error

        for count in range(self._settings.max_images, 1, -1):
            if await self._takes(Conversation([user], [picture] * count)):
                self.max_images = count
                return
        if self._settings.max_images > 1:
            logger.info("the model supports one image per conversation")

    async def _takes(self, conversation: Conversation) -> bool:
        try:
            await self._render(conversation)
        except InvalidArgument:  # its class allows fewer, or its template has a place for one alone
            return False
        return True

    async def _lacks_beginning(self, conversation: Conversation) -> bool:
        """Whether the tokenizer begins texts with a token, as the model was trained, that the chat template leaves out.

        vLLM tokenizes what a template gives without it. transformers' processors add it, as to LLaVA 1.6 on Mistral;
        its tokenizers of models without images don't.
        """
        if not self._llm.model_config.is_multimodal_model or self._settings.completion_template:
            return False
        tokenizer = self._llm.get_tokenizer()
        begin = getattr(tokenizer, "bos_token_id", None)
        written = tokenizer.encode(_USERS_TEXT)
        if begin is None or written[0] != begin or written[-1] == getattr(tokenizer, "eos_token_id", None):
            return False  # an end would be added too, and the model would see a finished text
        handle: Any = (await self._render(conversation)).handle
        return bool(handle["prompt_token_ids"][0] != begin)

    async def _text_of(self, conversation: Conversation) -> str:
        handle: Any = (await self._render(conversation)).handle
        text: str = self._llm.get_tokenizer().decode(handle["prompt_token_ids"])
        return text

    async def prepare(self, conversation: Conversation) -> Prepared:
        """Renders a conversation and processes its pictures.

        Raises:
            InvalidArgument: If the model can't take it.
        """
        if conversation.messages[0].role is Role.SYSTEM and not self._takes_system_prompts:
            raise InvalidArgument(
                "messages[0].text",
                "this model's chat template doesn't support system prompts; put the text into the prompt, or ask the "
                "operator to set AXIA_INFERENCE_CHAT_TEMPLATE to a template that does",
                reason="SYSTEM_PROMPT_UNSUPPORTED",
            )
        return await self._render(conversation)

    async def _render(self, conversation: Conversation) -> Prepared:
        renderer = self._llm.renderer
        try:
            if self._settings.completion_template:
                prompt: dict[str, Any] = {"prompt": plain_prompt(conversation, self._settings)}
                if conversation.pictures:
                    prompt["multi_modal_data"] = {"image": [picture.pixels for picture in conversation.pictures]}
                    names = [conversation.name_in_caches(picture) for picture in conversation.pictures]
                    prompt["multi_modal_uuids"] = {"image": names}
                (rendered,) = await renderer.render_cmpl_async([prompt])
            else:
                from vllm.renderers.params import ChatParams

                params = ChatParams(
                    chat_template=self._chat_template,
                    # Without it the prompt ends before the words that begin the model's turn, and it answers worse.
                    chat_template_kwargs={"add_generation_prompt": True, "tokenize": not self._begins_text},
                )
                tokens = (
                    renderer.default_cmpl_tok_params if self._begins_text else None
                )  # as a plain text's, or a chat's
                _, (rendered,) = await renderer.render_chat_async([chat_messages(conversation)], params, tokens)
        except Exception as error:  # raised again as ours, by its class; its text goes to the log alone
            raise request_failure(error, rendering=True) from error
        if conversation.cache_salt:
            rendered["cache_salt"] = conversation.cache_salt  # goes into the hash of the first block, and so into all
        return Prepared(len(rendered["prompt_token_ids"]), rendered)
