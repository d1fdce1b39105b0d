"""The built-in backbones. Reading this imports neither torch nor transformers.

Revisions are commits on the Hugging Face hub; docs/backbones.md lists them all with what they need. The demo's
backbones are trained by a rule of the workflow.
"""

from sanrec.backbones.language_models import LANGUAGE_MODELS
from sanrec.config import Backbone

LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
HUGE = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "intermediate_size": 5120}

BACKBONES = {
    "bert-base": Backbone(
        modality="text",
        checkpoint="google-bert/bert-base-uncased",
        revision="86b5e0934494bd15c9632b12f734a8a67f723594",
        pooling="first",
        blocks=12,
        width=768,
        architecture={"model_type": "bert"},
        license="apache-2.0",
    ),
    "bert-large": Backbone(
        modality="text",
        checkpoint="google-bert/bert-large-uncased",
        revision="6da4b6a26a1877e173fca3225479512db81a5e5b",
        pooling="first",
        blocks=24,
        width=1024,
        architecture={"model_type": "bert"} | LARGE,
        license="apache-2.0",
    ),
    **LANGUAGE_MODELS,
    "vit-base": Backbone(
        modality="image",
        checkpoint="google/vit-base-patch16-224",
        revision="3f49326eb077187dfe1c2a2bb15fbd74e6ab91e3",
        pooling="first",
        blocks=12,
        width=768,
        chunk_rows=1024,
        batch_size=32,
        architecture={"model_type": "vit"},
        license="apache-2.0",
    ),
    "vit-large": Backbone(
        modality="image",
        checkpoint="google/vit-large-patch16-224-in21k",
        revision="6074eaf2211423e928c93b93ef773d5da618aa7e",
        pooling="first",
        blocks=24,
        width=1024,
        chunk_rows=1024,
        batch_size=32,
        architecture={"model_type": "vit"} | LARGE,
        license="apache-2.0",
    ),
    # no commit of it is known to us, so its user pins one
    "vit-huge": Backbone(
        modality="image",
        checkpoint="google/vit-huge-patch14-224-in21k",
        pooling="first",
        blocks=32,
        width=1280,
        chunk_rows=1024,
        batch_size=16,
        architecture={"model_type": "vit", "patch_size": 14} | HUGE,
        license="apache-2.0",
    ),
    "videomae-base": Backbone(
        modality="video",
        checkpoint="MCG-NJU/videomae-base",
        revision="dc740ceda42fce44faed2ea03c6d447db72f6af9",
        pooling="mean",
        blocks=12,
        width=768,
        chunk_rows=256,
        batch_size=4,
        architecture={"model_type": "videomae"},
        license="cc-by-nc-4.0",
    ),
    "ast-audioset": Backbone(
        modality="audio",
        checkpoint="MIT/ast-finetuned-audioset-10-10-0.4593",
        revision="f826b80d28226b62986cc218e5cec390b1096902",
        pooling="first",
        blocks=12,
        width=768,
        chunk_rows=256,
        batch_size=4,
        architecture={"model_type": "audio-spectrogram-transformer"},
        license="bsd-3-clause",
    ),
    "bert": Backbone(
        modality="text", source="demo", checkpoint="bert", pooling="first", blocks=12, width=64,
        max_tokens=16, batch_size=64, chunk_rows=256, license="apache-2.0",
    ),
    "bert-captions": Backbone(
        modality="text", source="demo", checkpoint="bert-captions", pooling="first", blocks=12, width=64,
        max_tokens=16, batch_size=64, chunk_rows=256, license="apache-2.0",
    ),
    "bert-deep": Backbone(
        modality="text", source="demo", checkpoint="bert-deep", pooling="first", blocks=24, width=96,
        max_tokens=16, batch_size=64, chunk_rows=256, license="apache-2.0",
    ),
    "llama": Backbone(
        modality="text", source="demo", checkpoint="llama", pooling="mean", blocks=16, width=128,
        max_tokens=16, batch_size=64, chunk_rows=256, license="apache-2.0",
    ),
    "vit": Backbone(
        modality="image", source="demo", checkpoint="vit", pooling="first", blocks=12, width=64,
        chunk_rows=256, batch_size=64, license="apache-2.0",
    ),
    "videomae": Backbone(
        modality="video", source="demo", checkpoint="videomae", pooling="mean", blocks=12, width=64,
        chunk_rows=128, batch_size=32, license="apache-2.0",
    ),
    "ast": Backbone(
        modality="audio", source="demo", checkpoint="ast", pooling="first", blocks=12, width=64,
        chunk_rows=128, batch_size=32, license="apache-2.0",
    ),
}  # fmt: skip
