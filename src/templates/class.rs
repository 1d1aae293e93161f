//! Byte classes and the words that vary by meaning: units, dates, truth values, top-level domains.

/// Blank or control byte: between tokens.
pub(super) const SPACE: u8 = 0;
/// Letter, underscore, dollar sign or a byte of a character beyond ASCII.
pub(super) const LETTER: u8 = 1;
/// Digit.
pub(super) const DIGIT: u8 = 2;
/// Joins letters and digits to one atom: `.`, `-`, `/` and the like.
pub(super) const JOINER: u8 = 3;
/// Stands for itself.
pub(super) const PUNCT: u8 = 4;

/// Class of each byte.
pub(super) static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [PUNCT; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        table[i] = match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80..=0xff => LETTER,
            b'0'..=b'9' => DIGIT,
            b'.' | b'-' | b'/' | b'@' | b'+' | b'%' | b'*' | b'#' | b'~' | b'\\' | b'&' => JOINER,
            0..=b' ' | 0x7f => SPACE,
            _ => PUNCT,
        };
        i += 1;
    }
    table
}

/// A unit that belongs to the number before it: `ms`, `KB`, `seconds`.
pub(super) fn is_unit(word: &[u8]) -> bool {
    matches!(
        word,
        b"B" | b"KB"
            | b"kB"
            | b"MB"
            | b"GB"
            | b"TB"
            | b"KiB"
            | b"MiB"
            | b"GiB"
            | b"TiB"
            | b"K"
            | b"M"
            | b"G"
            | b"bytes"
            | b"byte"
            | b"ns"
            | b"us"
            | b"ms"
            | b"s"
            | b"sec"
            | b"secs"
            | b"second"
            | b"seconds"
            | b"msec"
            | b"msecs"
            | b"millis"
            | b"milliseconds"
            | b"microseconds"
            | b"min"
            | b"mins"
            | b"minute"
            | b"minutes"
            | b"hour"
            | b"hours"
            | b"day"
            | b"days"
            | b"Hz"
            | b"kHz"
            | b"MHz"
            | b"GHz"
            | b"AM"
            | b"PM"
            | b"UTC"
            | b"GMT"
            | b"CST"
            | b"CDT"
            | b"EST"
            | b"EDT"
            | b"MST"
            | b"MDT"
            | b"PST"
            | b"PDT"
            | b"CET"
            | b"CEST"
            | b"BST"
            | b"IST"
            | b"JST"
            | b"MSK"
            | b"kbps"
            | b"Mbps"
            | b"Gbps"
    )
}

/// A month's or weekday's short name: part of a date when a number stands beside it.
pub(super) fn is_calendar(word: &[u8]) -> bool {
    word.len() == 3
        && matches!(
            word,
            b"Jan"
                | b"Feb"
                | b"Mar"
                | b"Apr"
                | b"May"
                | b"Jun"
                | b"Jul"
                | b"Aug"
                | b"Sep"
                | b"Oct"
                | b"Nov"
                | b"Dec"
                | b"Mon"
                | b"Tue"
                | b"Wed"
                | b"Thu"
                | b"Fri"
                | b"Sat"
                | b"Sun"
        )
}

/// A truth value or the absence of a value.
pub(super) fn is_literal(word: &[u8]) -> bool {
    matches!(
        word,
        b"true"
            | b"false"
            | b"null"
            | b"True"
            | b"False"
            | b"None"
            | b"nil"
            | b"TRUE"
            | b"FALSE"
            | b"NULL"
            | b"NaN"
    )
}

/// A last label by which a dotted name is surely a host's.
pub(super) fn is_domain(label: &[u8]) -> bool {
    matches!(
        label,
        b"com"
            | b"net"
            | b"org"
            | b"edu"
            | b"gov"
            | b"mil"
            | b"arpa"
            | b"local"
            | b"localdomain"
            | b"internal"
            | b"lan"
            | b"localhost"
            | b"cn"
            | b"hk"
            | b"de"
            | b"uk"
            | b"fr"
            | b"jp"
            | b"ru"
            | b"tw"
            | b"br"
            | b"pl"
            | b"nl"
            | b"kr"
            | b"au"
            | b"ca"
            | b"eu"
    )
}

/// A source file's extension.
pub(super) fn is_source(extension: &[u8]) -> bool {
    matches!(
        extension,
        b"c" | b"cc"
            | b"cpp"
            | b"cs"
            | b"go"
            | b"h"
            | b"hpp"
            | b"java"
            | b"js"
            | b"kt"
            | b"php"
            | b"py"
            | b"rb"
            | b"rs"
            | b"scala"
            | b"swift"
            | b"ts"
    )
}

/// The extension of a file that is run or read, not compiled into messages.
pub(super) fn is_file(extension: &[u8]) -> bool {
    matches!(
        extension,
        b"exe"
            | b"dll"
            | b"so"
            | b"jar"
            | b"war"
            | b"sh"
            | b"log"
            | b"conf"
            | b"cfg"
            | b"ini"
            | b"txt"
            | b"csv"
            | b"xml"
            | b"json"
            | b"yaml"
            | b"yml"
            | b"toml"
            | b"html"
            | b"htm"
            | b"css"
            | b"png"
            | b"jpg"
            | b"gif"
            | b"pdf"
            | b"zip"
            | b"gz"
            | b"tar"
            | b"tmp"
            | b"pid"
            | b"sock"
            | b"lock"
            | b"db"
            | b"bak"
            | b"pem"
            | b"crt"
            | b"key"
    )
}

/// A word after which the name of a thing or person stands.
pub(super) fn is_lead_in(word: &[u8]) -> bool {
    matches!(
        word,
        b"user"
            | b"User"
            | b"username"
            | b"host"
            | b"Host"
            | b"hostname"
            | b"domain"
            | b"node"
            | b"service"
            | b"device"
            | b"file"
            | b"client"
            | b"server"
            | b"name"
            | b"named"
            | b"topic"
            | b"table"
            | b"queue"
            | b"pod"
            | b"container"
            | b"namespace"
            | b"image"
            | b"volume"
            | b"cluster"
            | b"group"
            | b"account"
    )
}

/// A word after which a name may stand, or a kind of thing.
pub(super) fn is_preposition(word: &[u8]) -> bool {
    matches!(
        word,
        b"by" | b"from" | b"for" | b"to" | b"on" | b"at" | b"in" | b"of" | b"via" | b"with" | b"as"
    )
}
