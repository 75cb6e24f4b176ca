"""The tool under test and the implementations it is compared with."""

import base64
import ctypes
import json
import pathlib
import struct
import subprocess


class Tool:
    """tokenize_tool behind a pipe."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen([program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the tool ended with code {self.process.wait()}"
        return json.loads(line)

    def encode(self, data, **options):
        answer = self.ask(base64=base64.b64encode(data).decode(), **options)
        assert "ids" in answer, answer
        return answer["ids"]

    def decode_of(self, data, **options):
        return base64.b64decode(self.ask(base64=base64.b64encode(data).decode(), **options)["base64"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=60)


class _LlamaModelParams(ctypes.Structure):
    """llama_model_params of llama.h; the pinned package's layout. `rest` leaves room for what newer ones append."""

    _fields_ = [("devices", ctypes.c_void_p), ("overrides", ctypes.c_void_p), ("layers", ctypes.c_int32), ("split", ctypes.c_int32), ("load", ctypes.c_int32),
                ("lazy", ctypes.c_int32), ("main", ctypes.c_int32), ("tensor_split", ctypes.c_void_p), ("progress", ctypes.c_void_p),
                ("progress_data", ctypes.c_void_p), ("keys", ctypes.c_void_p), ("vocab_only", ctypes.c_bool), ("rest", ctypes.c_char * 63)]


class LlamaVocabulary:
    """llama.cpp's tokenizer, through the C interface that the xllamacpp package carries."""

    def __init__(self, path):
        import xllamacpp

        self.library = ctypes.CDLL(next(pathlib.Path(xllamacpp.__file__).parent.glob("*.so")).as_posix())
        self.library.llama_model_default_params.restype = _LlamaModelParams
        self.library.llama_model_load_from_file.argtypes = [ctypes.c_char_p, _LlamaModelParams]
        self.library.llama_model_load_from_file.restype = ctypes.c_void_p
        self.library.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        self.library.llama_model_get_vocab.restype = ctypes.c_void_p
        self.library.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32), ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]
        self.library.llama_backend_init()
        parameters = self.library.llama_model_default_params()
        parameters.vocab_only = True
        model = self.library.llama_model_load_from_file(str(path).encode(), parameters)
        assert model, f"llama.cpp does not load {path}"
        self.vocabulary = self.library.llama_model_get_vocab(model)

    def encode(self, data, add_special=False, parse_special=False):
        size = len(data) * 4 + 16
        buffer = (ctypes.c_int32 * size)()
        count = self.library.llama_tokenize(self.vocabulary, data, len(data), buffer, size, add_special, parse_special)
        assert count >= 0
        return list(buffer[:count])


def write_gguf(path, values):
    """A GGUF file of metadata only. Values: str, bool, int (u32), bytes (u8 array), list of str, int or float."""

    def text(value):
        raw = value.encode()
        return struct.pack("<Q", len(raw)) + raw

    def value(item):
        if isinstance(item, bool):
            return struct.pack("<I?", 7, item)
        if isinstance(item, int):
            return struct.pack("<II", 4, item)
        if isinstance(item, str):
            return struct.pack("<I", 8) + text(item)
        if isinstance(item, bytes):
            return struct.pack("<IIQ", 9, 0, len(item)) + item
        if not item or isinstance(item[0], str):
            return struct.pack("<IIQ", 9, 8, len(item)) + b"".join(text(entry) for entry in item)
        if isinstance(item[0], int):
            return struct.pack(f"<IIQ{len(item)}i", 9, 5, len(item), *item)
        return struct.pack(f"<IIQ{len(item)}f", 9, 6, len(item), *item)

    values = {"general.architecture": "llama", **values}
    body = b"".join(text(key) + value(item) for key, item in values.items())
    pathlib.Path(path).write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(values)) + body)


def charsmap_of(model):
    """normalizer_spec.precompiled_charsmap of a serialised SentencePiece model (protobuf fields 3 and 2)."""

    def fields(data):
        at = 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value

        while at < len(data):
            key = varint()
            if key & 7 == 2:
                size = varint()
                yield key >> 3, data[at:at + size]
                at += size
            elif key & 7 == 0:
                varint()
            else:
                at += 8 if key & 7 == 1 else 4

    for number, content in fields(model):
        if number == 3:
            return next((blob for inner, blob in fields(content) if inner == 2), b"")
    return b""
