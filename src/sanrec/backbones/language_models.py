"""The built-in backbones that are large language models (IISAN-Versa, Table II), each with its instruction-tuned form.

Decoders: pooled by the mean over real tokens without BOS, and run in half precision. Also the instruction-tuned ones
read a title as it stands, without a chat template, as in the published code.
"""

from sanrec.config import Backbone

GEMMA = {"model_type": "gemma"}
MISTRAL = {"model_type": "mistral"}
LLAMA_2 = {"model_type": "llama"}
LLAMA_3 = {"model_type": "llama", "vocab_size": 128256, "num_key_value_heads": 8, "bos_token_id": 128000,
           "eos_token_id": 128001, "max_position_embeddings": 8192,
           "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}  # fmt: skip
LLAMA_3_8B = LLAMA_3 | {"intermediate_size": 14336}
LLAMA_3_70B = LLAMA_3 | {
    "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64, "intermediate_size": 28672,
}  # fmt: skip
MIXTRAL = {"model_type": "mixtral"}

LANGUAGE_MODELS = {
    "gemma-7b": Backbone(
        modality="text", checkpoint="google/gemma-7b", revision="ff6768d9368919a1f025a54f9f5aa0ee591730bb",
        gated=True, pooling="mean", blocks=28, width=3072, chunk_rows=512, dtype="bfloat16", architecture=GEMMA,
        license="gemma",
    ),
    "gemma-7b-it": Backbone(
        modality="text", checkpoint="google/gemma-7b-it", revision="9c5798d27f588501ce1e108079d2a19e4c3a2353",
        gated=True, pooling="mean", blocks=28, width=3072, chunk_rows=512, dtype="bfloat16", architecture=GEMMA,
        license="gemma",
    ),
    "mistral-7b": Backbone(
        modality="text", checkpoint="mistralai/Mistral-7B-v0.1", revision="27d67f1b5f57dc0953326b2601d68371d40ea8da",
        pooling="mean", blocks=32, width=4096, chunk_rows=512, dtype="bfloat16", architecture=MISTRAL,
        license="apache-2.0",
    ),
    "mistral-7b-it": Backbone(
        modality="text", checkpoint="mistralai/Mistral-7B-Instruct-v0.1",
        revision="ec5deb64f2c6e6fa90c1abf74a91d5c93a9669ca", pooling="mean", blocks=32, width=4096, chunk_rows=512,
        dtype="bfloat16", architecture=MISTRAL, license="apache-2.0",
    ),
    "llama-2-7b": Backbone(
        modality="text", checkpoint="meta-llama/Llama-2-7b-hf", revision="01c7f73d771dfac7d292323805ebc428287df4f9",
        gated=True, pooling="mean", blocks=32, width=4096, chunk_rows=512, dtype="float16", architecture=LLAMA_2,
        license="llama2",
    ),
    "llama-2-7b-chat": Backbone(
        modality="text", checkpoint="meta-llama/Llama-2-7b-chat-hf",
        revision="f5db02db724555f92da89c216ac04704f23d4590", gated=True, pooling="mean", blocks=32, width=4096,
        chunk_rows=512, dtype="float16", architecture=LLAMA_2, license="llama2",
    ),
    "llama-3-8b": Backbone(
        modality="text", checkpoint="meta-llama/Meta-Llama-3-8B", revision="8cde5ca8380496c9a6cc7ef3a8b46a0372a1d920",
        gated=True, pooling="mean", blocks=32, width=4096, chunk_rows=512, dtype="bfloat16", architecture=LLAMA_3_8B,
        license="llama3",
    ),
    "llama-3-8b-it": Backbone(
        modality="text", checkpoint="meta-llama/Meta-Llama-3-8B-Instruct",
        revision="8afb486c1db24fe5011ec46dfbe5b5dccdb575c2", gated=True, pooling="mean", blocks=32, width=4096,
        chunk_rows=512, dtype="bfloat16", architecture=LLAMA_3_8B, license="llama3",
    ),
    "mixtral-8x7b": Backbone(
        modality="text", checkpoint="mistralai/Mixtral-8x7B-v0.1", revision="fc7ac94680e38d7348cfa806e51218e6273104b0",
        pooling="mean", blocks=32, width=4096, chunk_rows=512, batch_size=32, dtype="bfloat16", device_map="auto",
        architecture=MIXTRAL, license="apache-2.0",
    ),
    "mixtral-8x7b-it": Backbone(
        modality="text", checkpoint="mistralai/Mixtral-8x7B-Instruct-v0.1",
        revision="eba92302a2861cdc0098cc54bc9f17cb2c47eb61", pooling="mean", blocks=32, width=4096, chunk_rows=512,
        batch_size=32, dtype="bfloat16", device_map="auto", architecture=MIXTRAL, license="apache-2.0",
    ),
    # the repository of the published code; no commit of it is known to us, so its user pins one
    "llama-3-70b-gptq": Backbone(
        modality="text", checkpoint="TechxGenus/Meta-Llama-3-70B-GPTQ", pooling="mean", blocks=80, width=8192,
        chunk_rows=256, batch_size=16, dtype="float16", device_map="auto", quantization="gptq",
        architecture=LLAMA_3_70B, license="llama3",
    ),
    "llama-3-70b-gptq-it": Backbone(
        modality="text", checkpoint="TechxGenus/Meta-Llama-3-70B-Instruct-GPTQ",
        revision="e147aa8799dd05d5077f60c79be0d972b002b3ac", pooling="mean", blocks=80, width=8192, chunk_rows=256,
        batch_size=16, dtype="float16", device_map="auto", quantization="gptq", architecture=LLAMA_3_70B,
        license="llama3",
    ),
}  # fmt: skip
