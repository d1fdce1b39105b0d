"""The built-in captioners. Reading this imports neither torch nor transformers.

Revisions are commits on the Hugging Face hub. The demo's captioner is trained by a rule of the workflow.
"""

from sanrec.config import Captioner

CAPTIONERS = {
    # Frames of a video get the thumbnail and one tile at most, 1,176 tokens: three of them, the prompt and the caption
    # fit the 4,096 tokens that this model was trained on.
    "llava-34b": Captioner(
        prompts={"cover": "cover", "video": "video"},
        checkpoint="llava-hf/llava-v1.6-34b-hf",
        revision="66b6feb83d0249dc9f31a24bd3abfb63f90e41aa",
        video_grid=((336, 336),),
        batch_size=4,
        device_map="auto",
        license="apache-2.0",
    ),
    "llava-mistral-7b": Captioner(
        prompts={"cover": "cover", "video": "video"},
        checkpoint="llava-hf/llava-v1.6-mistral-7b-hf",
        revision="52320fb52229c8d942b1dcb8b63b3dc8087bc83b",
        license="apache-2.0",
    ),
    "llava": Captioner(
        prompts={"cover": "demo-cover", "video": "demo-video"},
        source="demo",
        checkpoint="llava",
        max_new_tokens=24,
        batch_size=32,
        dtype="float32",
        license="apache-2.0",
    ),
}
