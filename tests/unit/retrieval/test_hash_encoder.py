import numpy as np
import pytest

from services.retrieval.encoder.protocol import Encoder
from services.serving.errors import InvalidArgument
from tests.support.encoders import HashEncoder
from tests.support.pictures import photograph


async def test_a_picture_is_found_by_its_own_hash() -> None:
    encoder: Encoder = HashEncoder()
    await encoder.start()
    picture = await encoder.prepare(photograph(1))
    vectors = await encoder.encode_pictures([picture, await encoder.prepare(photograph(2))])
    texts = await encoder.encode_texts([picture.header.sha256, "a dog", "a dog"])
    np.testing.assert_allclose(vectors @ texts[0], [1, 0], atol=0.6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(texts[1], texts[2])
    assert len(picture.perceptual_hash) == 16
    assert vectors.dtype == np.float32
    await encoder.close()


async def test_what_is_no_picture_is_refused_by_field() -> None:
    with pytest.raises(InvalidArgument, match=r"examples\[2\]: ") as caught:
        await HashEncoder().prepare(b"no image", "examples[2]")
    assert caught.value.reason == "IMAGE_UNREADABLE"
