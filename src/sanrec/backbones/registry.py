"""The built-in backbones. Reading this imports neither torch nor transformers.

Revisions are commits on the Hugging Face hub. The demo's backbones are trained by a rule of the workflow.
"""

from sanrec.config import Backbone

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
