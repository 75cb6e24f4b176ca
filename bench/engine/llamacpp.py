"""llama.cpp through its C library, as prebuilt packages carry it: the peer of the engine's benchmarks and conformance tests.

Only functions and fields whose place has been stable for years are used. Parameter structs are opaque buffers larger than any
version's struct: the library fills the defaults in and reads them back, and what is changed are the four leading numbers of
the context's (n_ctx, n_batch, n_ubatch, n_seq_max), and the one that says whether flash attention is used, which is found as the last
of the four whose default is -1.
"""

import ctypes
import os
import pathlib
import platform

TOKEN = ctypes.c_int32


class _Params(ctypes.Structure):
    _fields_ = [("numbers", ctypes.c_uint32 * 256)]


class _Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32), ("token", ctypes.POINTER(TOKEN)), ("embd", ctypes.c_void_p), ("pos", ctypes.c_void_p),
                ("n_seq_id", ctypes.c_void_p), ("seq_id", ctypes.c_void_p), ("logits", ctypes.c_void_p)]

    def put(self, index, token, position, sequence, wants_logits):
        """Entry of a batch that llama_batch_init made."""
        self.token[index] = token
        ctypes.cast(self.pos, ctypes.POINTER(ctypes.c_int32))[index] = position
        ctypes.cast(self.n_seq_id, ctypes.POINTER(ctypes.c_int32))[index] = 1
        ctypes.cast(self.seq_id, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))[index][0] = sequence
        ctypes.cast(self.logits, ctypes.POINTER(ctypes.c_int8))[index] = wants_logits


_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_LOADER = {"last": "", "callback": _LOG(lambda level, text, data: None)}

_SIGNATURES = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [_LOG, ctypes.c_void_p]),
    "llama_model_default_params": (_Params, []),
    "llama_context_default_params": (_Params, []),
    "llama_model_load_from_file": (ctypes.c_void_p, [ctypes.c_char_p, _Params]),
    "llama_init_from_model": (ctypes.c_void_p, [ctypes.c_void_p, _Params]),
    "llama_model_get_vocab": (ctypes.c_void_p, [ctypes.c_void_p]),
    "llama_vocab_n_tokens": (ctypes.c_int32, [ctypes.c_void_p]),
    "llama_set_n_threads": (None, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32]),
    "llama_n_ctx": (ctypes.c_uint32, [ctypes.c_void_p]),
    "llama_get_memory": (ctypes.c_void_p, [ctypes.c_void_p]),
    "llama_memory_clear": (None, [ctypes.c_void_p, ctypes.c_bool]),
    "llama_batch_init": (_Batch, [ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]),
    "llama_batch_free": (None, [_Batch]),
    "llama_batch_get_one": (_Batch, [ctypes.POINTER(TOKEN), ctypes.c_int32]),
    "llama_decode": (ctypes.c_int32, [ctypes.c_void_p, _Batch]),
    "llama_set_embeddings": (None, [ctypes.c_void_p, ctypes.c_bool]),
    "llama_get_embeddings_seq": (ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p, ctypes.c_int32]),
    "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p, ctypes.c_int32]),
    "llama_tokenize": (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(TOKEN), ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]),
    "llama_token_to_piece": (ctypes.c_int32, [ctypes.c_void_p, TOKEN, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_bool]),
    "llama_vocab_is_eog": (ctypes.c_bool, [ctypes.c_void_p, TOKEN]),
    "llama_sampler_init_greedy": (ctypes.c_void_p, []),
    "llama_sampler_sample": (TOKEN, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32]),
    "llama_adapter_lora_init": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]),
    "llama_set_adapters_lora": (ctypes.c_int32, [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.POINTER(ctypes.c_float)]),
    "llama_free": (None, [ctypes.c_void_p]),
    "llama_model_free": (None, [ctypes.c_void_p]),
    "llama_print_system_info": (ctypes.c_char_p, []),
}


def _signed(lib):
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(lib, name, None)
        if function is None:
            continue  # in versions of another age; whoever calls it is told
        function.restype, function.argtypes = result, arguments
    return lib


def load_node_llama_cpp(package, backend=None):
    """The library of the npm package @node-llama-cpp/linux-x64 (or linux-arm64), with the backend made for this processor, or the one named,
    such as "haswell" (AVX2) or "icelake" (AVX-512 with VNNI, no AMX)."""
    folder = next(p for p in pathlib.Path(package).glob("bins/*") if p.is_dir())
    base = ctypes.CDLL(str(folder / "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
    ggml = ctypes.CDLL(str(next(folder.glob("libggml.*so"))), mode=ctypes.RTLD_GLOBAL)
    lib = _signed(ctypes.CDLL(str(next(p for p in folder.glob("libllama.*so"))), mode=ctypes.RTLD_GLOBAL))
    lib.kept = (base, ggml)
    if backend is not None:
        ggml.ggml_backend_load.argtypes, ggml.ggml_backend_load.restype = [ctypes.c_char_p], ctypes.c_void_p
        if not ggml.ggml_backend_load(str(folder / f"libggml-cpu-{backend}.so").encode()):
            raise RuntimeError(f"llama.cpp's backend {backend} does not run on this processor")
        return lib
    # Each backend scores itself on this processor; the loader takes the best.
    ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
    ggml.ggml_backend_load_all_from_path(str(folder).encode())
    return lib


def load_xllamacpp():
    """The library inside the PyPI package xllamacpp."""
    import xllamacpp
    folder = pathlib.Path(xllamacpp.__file__).parent
    return _signed(ctypes.CDLL(str(next(folder.glob("xllamacpp*.so"))), mode=ctypes.RTLD_GLOBAL))


class LlamaCpp:
    def __init__(self, lib, model, threads, context=1024, sequences=1, flash_attention=None):
        """`context` tokens for each sequence. Flash attention: True, False, or None for what llama.cpp chooses."""
        self.lib = lib
        lib.llama_log_set(_LOADER["callback"], None)
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(os.fsencode(model), lib.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {model}")
        params = lib.llama_context_default_params()
        params.numbers[0], params.numbers[1], params.numbers[2], params.numbers[3] = context * sequences, 512, 512, sequences
        if flash_attention is not None:
            minus_one = [index for index in range(4, 32) if params.numbers[index] == 0xFFFFFFFF]
            if minus_one[:4] != list(range(minus_one[0], minus_one[0] + 4)):
                raise RuntimeError("llama.cpp's context parameters have moved, see llamacpp.py")
            params.numbers[minus_one[3]] = int(flash_attention)
        self.context = lib.llama_init_from_model(self.model, params)
        if not self.context or lib.llama_n_ctx(self.context) < context * sequences:
            raise RuntimeError("llama.cpp cannot make a context: its parameters have moved, see llamacpp.py")
        lib.llama_set_n_threads(self.context, threads, threads)
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.vocabulary = lib.llama_vocab_n_tokens(self.vocab)
        self.sampler = lib.llama_sampler_init_greedy()

    def close(self):
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.model)

    def use_adapter(self, path):
        adapter = self.lib.llama_adapter_lora_init(self.model, os.fsencode(path))
        if not adapter or self.lib.llama_set_adapters_lora(self.context, (ctypes.c_void_p * 1)(adapter), 1, (ctypes.c_float * 1)(1.0)) != 0:
            raise RuntimeError(f"llama.cpp cannot use the adapter {path}")

    def system(self):
        return self.lib.llama_print_system_info().decode()

    def tokenize(self, text, special=True):
        data = text.encode()
        room = (TOKEN * (len(data) + 8))()
        count = self.lib.llama_tokenize(self.vocab, data, len(data), room, len(room), False, special)
        return list(room[:count])

    def piece(self, token, special=False):
        room = ctypes.create_string_buffer(256)
        count = self.lib.llama_token_to_piece(self.vocab, token, room, len(room), 0, special)
        return room.raw[:max(count, 0)]

    def clear(self):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)

    def decode(self, tokens, every=False):
        """Computes the tokens after what the context holds already; logits of the last one are kept, or of every one."""
        array = (TOKEN * len(tokens))(*tokens)
        batch = self.lib.llama_batch_get_one(array, len(tokens))
        wanted = (ctypes.c_int8 * len(tokens))(*[1] * len(tokens))
        if every:
            batch.logits = ctypes.addressof(wanted)
        if self.lib.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")

    def decode_rows(self, rows):
        """Computes (token, position, sequence, wants_logits) rows in one batch."""
        batch = self.lib.llama_batch_init(len(rows), 0, 1)
        for index, row in enumerate(rows):
            batch.put(index, *row)
        batch.n_tokens = len(rows)
        code = self.lib.llama_decode(self.context, batch)
        self.lib.llama_batch_free(batch)
        if code != 0:
            raise RuntimeError(f"llama_decode failed: {code}")

    def pooled(self, tokens, count=1):
        """The first values that an encoder pools from one sequence, in the way its file says (the score of a reranker)."""
        self.lib.llama_set_embeddings(self.context, True)
        self.decode_rows([(token, position, 0, True) for position, token in enumerate(tokens)])
        return self.lib.llama_get_embeddings_seq(self.context, 0)[:count]

    def argmax(self):
        return self.lib.llama_sampler_sample(self.sampler, self.context, -1)

    def logits(self, index=-1):
        pointer = self.lib.llama_get_logits_ith(self.context, index)
        return ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float * self.vocabulary)).contents

    def is_end(self, token):
        return self.lib.llama_vocab_is_eog(self.vocab, token)
