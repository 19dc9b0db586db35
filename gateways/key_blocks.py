"""What merchants hold their keys in, read into blocks of DER, each with what it is.

The one reader of every door: what is pasted, uploaded, sent to the API, or named in a file.
Consoles and tools hand out PEM (LF, CRLF, or squeezed into one line), bare base64, binary DER,
and ``openssl pkcs12 -nodes`` output with other text between the blocks; on the way such files
gain a byte-order mark, Chinese text in GBK, invisible characters, or lose their padding.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from django.utils.translation import gettext_lazy as _

from gateways.texts import Text

KEY_FILE_BYTES_MAX = 64 * 1024
BASE64_LETTERS_MIN = 64  # shorter, it is not the rest of a key


class KeyUnreadable(ValueError):
    """Text that is not the key or certificate it should be; ``text`` says why, for staff."""

    def __init__(self, text: Text) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return str(self.text)


class BlockType(StrEnum):
    """What a block is: the three that a configuration holds, and what people take for them."""

    PRIVATE_KEY = "private key"
    PUBLIC_KEY = "public key"
    CERTIFICATE = "certificate"
    ENCRYPTED_KEY = "private key with a passphrase"
    PKCS12 = "PKCS#12"
    KEYSTORE = "Java keystore"
    ARCHIVE = "zip"
    REQUEST = "certificate request"
    SSH_OR_PGP_KEY = "key of SSH or PGP"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Block:
    type: BlockType
    der: bytes


# Zero-width and direction marks, soft hyphens and byte-order marks, as web pages and chats add.
_INVISIBLE = dict.fromkeys(
    [0x00AD, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF]
)
# Word processors turn the dashes of a PEM line into others.
_DASHES = dict.fromkeys(
    [*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0xFF0D],
    "-",
)
# Every repetition is bounded, so that no text makes the search long.
_MARKER = re.compile(
    r"-[ \t]{0,2}(?P<edge>BEGIN|END)[ \t]{1,2}(?P<label>[A-Z0-9][A-Z0-9 ]{0,39}?)[ \t]{0,2}-"
)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}: ")
_FILE_NAME = re.compile(r"[^\n]{0,500}\.(pem|key|crt|cer|p12|pfx|txt)", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")


def visible(text: str) -> str:
    """``text`` without blanks around it and without characters that nobody sees."""
    return text.translate(_INVISIBLE).strip()


def text_of(content: str | bytes) -> str:
    """The visible text of a file, in whichever of the usual encodings it was saved."""
    return visible(content if isinstance(content, str) else _decoded(content))


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    if b"\x00" in content[:2]:
        encoding = "utf-16-be" if content[:1] == b"\x00" else "utf-16-le"
        return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        # Chinese before the PEM, in the encoding of Chinese Windows; what matters is ASCII.
        return content.decode("gb18030", errors="replace")


def blocks_of(content: str | bytes) -> list[Block]:
    """Every block of ``content``, in its order; at least one.

    Raises KeyUnreadable for what is neither DER nor PEM nor base64.
    """
    if isinstance(content, bytes):
        if len(content) > KEY_FILE_BYTES_MAX:
            raise KeyUnreadable(_("文件过大，不是密钥或证书"))
        if (what := block_type(content)) is not BlockType.UNKNOWN:
            return _blocks_of_der(what, content)
    # Keys that travelled through an environment file carry "\n" as two characters.
    text = text_of(content).replace("\\r", "").replace("\\n", "\n").translate(_DASHES)
    found = [block for label, body in _pem_parts(text) for block in _blocks_of_pem(label, body)]
    return found or _bare(text.strip().strip("\"'"))


def _pem_parts(text: str) -> Iterator[tuple[str, str]]:
    """Label and body of each PEM block, whatever stands between the blocks."""
    opened: re.Match[str] | None = None
    for marker in _MARKER.finditer(text):
        is_begin = marker["edge"] == "BEGIN"
        if is_begin == (opened is not None) or (opened and opened["label"] != marker["label"]):
            raise KeyUnreadable(_("PEM 不完整：BEGIN 和 END 两行要成对，请复制文件的全部内容"))
        if opened is not None:
            yield marker["label"], text[opened.end() : marker.start()].strip("-")
        opened = marker if is_begin else None
    if opened is not None:
        raise KeyUnreadable(_("PEM 不完整：缺少 END 一行，请复制文件的全部内容"))


def _blocks_of_pem(label: str, body: str) -> list[Block]:
    if "ENCRYPTED" in label or "ENCRYPTED" in body[:200]:
        # The second is a "Proc-Type" header: the older form of a passphrase.
        return [Block(BlockType.ENCRYPTED_KEY, b"")]
    if "OPENSSH" in label or "PGP" in label or "SSH2" in label:
        return [Block(BlockType.SSH_OR_PGP_KEY, b"")]
    der = _base64("".join(line for line in body.splitlines() if not _HEADER.match(line)))
    if "TRUSTED" in label:
        der = der[: _end(der)]  # openssl appends what the certificate is trusted for
    what = block_type(der)
    return _blocks_of_der(_labelled(label) if what is BlockType.UNKNOWN else what, der)


def _labelled(label: str) -> BlockType:
    """What cannot be told by its structure (an SM2 root, say) is what it calls itself."""
    for word, what in (
        ("REQUEST", BlockType.REQUEST),
        ("CERTIFICATE", BlockType.CERTIFICATE),
        ("PRIVATE", BlockType.PRIVATE_KEY),
        ("PUBLIC", BlockType.PUBLIC_KEY),
    ):
        if word in label:
            return what
    return BlockType.UNKNOWN


def _bare(text: str) -> list[Block]:
    if text.startswith(("ssh-", "ecdsa-")):
        return [Block(BlockType.SSH_OR_PGP_KEY, b"")]
    if _FILE_NAME.fullmatch(text):
        raise KeyUnreadable(_("填入的是文件名：请上传文件，或粘贴文件的内容"))
    der = _base64(text)
    if der.lstrip().startswith(b"-----BEGIN "):
        return blocks_of(der)  # a PEM file that was turned into base64 once more
    return _blocks_of_der(block_type(der), der)


def _blocks_of_der(what: BlockType, der: bytes) -> list[Block]:
    if _tags(der) and not der[_end(der) :].strip():
        der = der[: _end(der)]  # a line break behind a binary file
    if what is BlockType.CERTIFICATE and _tags(der)[:1] == (_OID,):
        return [Block(BlockType.CERTIFICATE, one) for one in _pkcs7_certificates(der)]
    return [Block(what, der)]


def _pkcs7_certificates(der: bytes) -> list[bytes]:
    try:
        found = pkcs7.load_der_pkcs7_certificates(der)
    except Exception as error:  # cryptography raises half a dozen types for bad input
        raise KeyUnreadable(_("不是可读的证书")) from error
    return [certificate.public_bytes(Encoding.DER) for certificate in found]


def _base64(text: str) -> bytes:
    """Strict but for blanks, the alphabet of addresses, and lost padding."""
    letters = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, UnicodeError, ValueError) as error:
        is_base64 = letters.isascii() and letters.replace("+", "").replace("/", "").isalnum()
        if is_base64 and len(letters) >= BASE64_LETTERS_MIN:
            raise KeyUnreadable(_("内容不完整：请复制文件的全部内容")) from error
        raise KeyUnreadable(_("不是 PEM，也不是 base64 文本")) from error


# -- what a piece of DER is, by its structure ------------------------------------------------------

_PKCS12_WITHOUT_LENGTH = bytes.fromhex("3080020103")
_MAGIC: tuple[tuple[bytes, BlockType], ...] = (
    (b"PK\x03\x04", BlockType.ARCHIVE),
    (b"\xfe\xed\xfe\xed", BlockType.KEYSTORE),
    (_PKCS12_WITHOUT_LENGTH, BlockType.PKCS12),
)
_INTEGER, _BITS, _OCTETS, _OID, _SEQUENCE, _TAGGED = 0x02, 0x03, 0x04, 0x06, 0x30, 0xA0
# The members of the outermost SEQUENCE begin so; the first that fits.
_SHAPES: tuple[tuple[tuple[int, ...], BlockType], ...] = (
    ((_INTEGER,) * 9, BlockType.PRIVATE_KEY),  # PKCS#1
    ((_INTEGER, _INTEGER), BlockType.PUBLIC_KEY),  # PKCS#1
    ((_INTEGER, _SEQUENCE, _OCTETS), BlockType.PRIVATE_KEY),  # PKCS#8
    ((_INTEGER, _OCTETS), BlockType.PRIVATE_KEY),  # an elliptic curve's
    ((_INTEGER, _SEQUENCE), BlockType.PKCS12),
    ((_SEQUENCE, _BITS), BlockType.PUBLIC_KEY),
    ((_SEQUENCE, _OCTETS), BlockType.ENCRYPTED_KEY),  # PKCS#8
    ((_SEQUENCE, _SEQUENCE, _BITS), BlockType.CERTIFICATE),
    ((_OID, _TAGGED), BlockType.CERTIFICATE),  # PKCS#7: certificates in an envelope
)
_REQUEST_MEMBERS_MAX = 4  # version, subject, key, attributes; a certificate has six and more


def block_type(der: bytes) -> BlockType:
    """What ``der`` is, without reading the key (which tests its primes and takes its time)."""
    for magic, what in _MAGIC:
        if der.startswith(magic):
            return what
    tags = _tags(der)
    found = next(
        (what for shape, what in _SHAPES if tags[: len(shape)] == shape), BlockType.UNKNOWN
    )
    is_request = tags[:1] == (_SEQUENCE,) and len(_tags(der[_start(der) :])) <= _REQUEST_MEMBERS_MAX
    return BlockType.REQUEST if found is BlockType.CERTIFICATE and is_request else found


def _tags(der: bytes) -> tuple[int, ...]:
    """The tags of what the outermost SEQUENCE holds; empty for what is none, or is cut off."""
    if der[:1] != _SEQUENCE.to_bytes():
        return ()
    tags = []
    try:
        at, end = _start(der), _end(der)
        if end > len(der):
            return ()
        while at < end:
            tags.append(der[at])
            at += _end(der[at:])
    except IndexError:
        return ()
    return tuple(tags) if at == end else ()


def _start(der: bytes) -> int:
    """Where the first element's content begins."""
    first = der[1]
    return 2 if first < 0x80 else 2 + (first & 0x7F)


def _end(der: bytes) -> int:
    """Where the first element ends. Raises IndexError for what has no length."""
    first = der[1]
    if first < 0x80:
        return 2 + first
    size = first & 0x7F
    if not 1 <= size <= 4:
        raise IndexError("length")
    return 2 + size + int.from_bytes(der[2 : 2 + size])
