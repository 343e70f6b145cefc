"""Which addresses a reply may go to: the form of a URL, and which network addresses are public.

A URL that two parsers could read differently is refused rather than repaired, so what was checked is what is
connected to. Looking names up and connecting is `countersign.outbound`'s.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from countersign.errors import DestinationDenied

MAX_URL = 2_048
DEFAULT_PORTS = {"https": 443, "http": 80}

# One way to part a URL, and no character that another parser strips (tab, newline) or turns (backslash).
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#\\@\s]+)(?P<path>[/?][\x21-\x22\x24-\x5b\x5d-\x7e]*)?(#[\x21-\x7e]*)?",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(:(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
# A last label that looks like a number makes browsers and libc read the whole name as an IPv4 address.
_NUMBER_LAST = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
# Reserved, or in wide private use (RFC 6762, appendix G); Lambda's own hosts file has `.localdomain`.
_INTERNAL_SUFFIXES = (
    ".localhost",
    ".localdomain",
    ".local",
    ".internal",
    ".intranet",
    ".private",
    ".corp",
    ".home",
    ".lan",
    ".arpa",
)

# What `is_global` of Python lets through although nothing of a stranger's answers there.
_NOT_PUBLIC_V4 = (
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("168.63.129.16/32"),  # Azure's host
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = (
    IPv6Network("2001::/23"),  # IETF protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address in disguise
    IPv6Network("3fff::/20"),  # documentation
)


@dataclass(frozen=True)
class Url:
    """A URL in parts. `host` is an ASCII name in lower case, or an address without brackets.

    `path` includes the query.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """As the Host header has it: brackets around IPv6, the port only if it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The network address that `host` spells out, None for a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def names_loopback(self) -> bool:
        """Whether the host says so itself, not by way of a look-up."""
        return self.host == "localhost" or (self.address is not None and self.address.is_loopback)


def parse_url(text: str) -> Url:
    """An http or https URL with a host and nothing ambiguous. Raises DestinationDenied with the reason."""
    if len(text) > MAX_URL:
        raise DestinationDenied(f"the address is longer than {MAX_URL} characters")
    parts = _URL.fullmatch(text)
    authority = _AUTHORITY.fullmatch(parts["authority"]) if parts else None
    if parts is None or authority is None:
        raise DestinationDenied("the address is not a plain http or https URL")
    scheme = parts["scheme"].lower()
    port = int(authority["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port < 65_536:
        raise DestinationDenied("the address has no such port")
    path = parts["path"] or "/"
    return Url(scheme, _host(authority["host"]), port, path if path.startswith("/") else f"/{path}")


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except ValueError:
            raise DestinationDenied("the address is no IPv6 address") from None
    host = (text if text.isascii() else _to_ascii(text)).lower().removesuffix(".")
    if not _NAME.fullmatch(host):
        raise DestinationDenied("the address has no proper host name")
    if _NUMBER_LAST.fullmatch(host):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise DestinationDenied("the address spells an IPv4 address oddly") from None
    return host


def _to_ascii(name: str) -> str:
    import idna  # only needed for the few names that are not ASCII, and slow to import

    try:
        return idna.encode(name).decode()
    except UnicodeError:
        raise DestinationDenied("the address has no proper international host name") from None


def check_policy(url: Url) -> None:
    """Whether replies go to such a URL at all: https, port 443, no name or address of some inner network.

    Says nothing about what a name resolves to. Raises DestinationDenied with the reason.
    """
    if url.scheme != "https":
        raise DestinationDenied("the address is not https")
    if url.port != 443:
        raise DestinationDenied("the address has another port than 443")
    if url.address is None and is_internal_name(url.host):
        raise DestinationDenied("the address names something inside a network")
    if url.address is not None and not is_public(url.address):
        raise DestinationDenied("the address leads to a network that is not public")


def is_internal_name(host: str) -> bool:
    """Whether a name can only mean something inside some network: one label, or a suffix kept for that."""
    return "." not in host or host.endswith(_INTERNAL_SUFFIXES)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is a public unicast address of its own, embedding and leading to no other."""
    if isinstance(address, IPv4Address):
        excluded = any(address in network for network in _NOT_PUBLIC_V4)
        return address.is_global and not address.is_multicast and not excluded
    # An address with a zone (`%eth0`) means a link of this machine, whatever its number says.
    if address.scope_id is not None:
        return False
    return address in _GLOBAL_UNICAST_V6 and not any(address in network for network in _NOT_PUBLIC_V6)
