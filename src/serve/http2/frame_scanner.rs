//! [`FrameScanner`]: finds the frames in a stream of HTTP/2 (RFC 9113 section 4.1), without their
//! content.

use bytes::Buf as _;

/// The length of a frame's head.
const HEAD: usize = 9;

/// What each client's stream begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The type of a frame (RFC 9113 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    ResetStream,
    Settings,
    Ping,
    WindowUpdate,
    Continuation,
    /// PRIORITY, which is obsolete, and types that are unknown or that a client does not send.
    Other,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// The length of its payload.
    pub(super) length: u32,
    pub(super) stream: u32,
    flags: u8,
}

impl Frame {
    const ACK: u8 = 0x1;
    const END_STREAM: u8 = 0x1;
    const END_HEADERS: u8 = 0x4;

    /// Whether it acknowledges a SETTINGS or PING frame.
    pub(super) fn is_ack(self) -> bool {
        self.flags & Self::ACK != 0
    }

    /// Whether it is the last DATA or HEADERS frame of its stream.
    pub(super) fn ends_stream(self) -> bool {
        self.flags & Self::END_STREAM != 0
    }

    fn ends_headers(self) -> bool {
        self.flags & Self::END_HEADERS != 0
    }

    fn parse(head: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = head;
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            3 => Kind::ResetStream,
            4 => Kind::Settings,
            6 => Kind::Ping,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Other,
        };
        Self {
            kind,
            length: u32::from_be_bytes([0, a, b, c]),
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            flags,
        }
    }
}

/// Reads a stream in pieces of any size.
#[derive(Debug)]
pub(super) struct FrameScanner {
    /// How many bytes of the preface are to come.
    preface: u8,
    /// The bytes of a head that are known.
    head: [u8; HEAD],
    known: u8,
    /// How many bytes of the current frame's payload are to come.
    payload: u32,
    /// Whether the current frame is DATA.
    in_data: bool,
    /// Whether a header block has begun and its last frame has not.
    in_headers: bool,
    /// The length of the current header block, as far as its frames have begun.
    block: u32,
    /// How many frames and header blocks have begun.
    begun: u64,
}

impl FrameScanner {
    /// Of what a client sends.
    pub(super) fn of_client() -> Self {
        Self {
            // No preface has more than 255 bytes.
            preface: u8::try_from(PREFACE.len()).unwrap_or(u8::MAX),
            ..Self::of_server()
        }
    }

    /// Of what a server sends.
    pub(super) fn of_server() -> Self {
        Self {
            preface: 0,
            head: [0; HEAD],
            known: 0,
            payload: 0,
            in_data: false,
            in_headers: false,
            block: 0,
            begun: 0,
        }
    }

    /// Reads the next bytes, and passes each frame that begins in them to `found`.
    pub(super) fn scan(&mut self, mut bytes: &[u8], mut found: impl FnMut(Frame)) {
        let of_preface = bytes.len().min(self.preface.into());
        bytes.advance(of_preface);
        self.preface -= u8::try_from(of_preface).unwrap_or(self.preface);
        loop {
            let of_payload = bytes.len().min(self.payload as usize);
            bytes.advance(of_payload);
            self.payload -= u32::try_from(of_payload).unwrap_or(self.payload);
            if bytes.is_empty() {
                return;
            }
            let Some(frame) = self.read_head(&mut bytes) else {
                return;
            };
            self.payload = frame.length;
            self.in_data = frame.kind == Kind::Data;
            let before = if self.in_headers { self.block } else { 0 };
            self.block = 0;
            if matches!(frame.kind, Kind::Headers | Kind::Continuation) {
                self.block = before.saturating_add(frame.length);
                self.in_headers = !frame.ends_headers();
            }
            found(frame);
        }
    }

    fn read_head(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let known = usize::from(self.known);
        if known == 0 && !self.in_headers {
            self.begun += 1;
        }
        let more = bytes.len().min(HEAD - known);
        self.head[known..known + more].copy_from_slice(&bytes[..more]);
        bytes.advance(more);
        if known + more < HEAD {
            self.known += u8::try_from(more).unwrap_or(0);
            return None;
        }
        self.known = 0;
        Some(Frame::parse(self.head))
    }

    /// Whether the next byte is the first of a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.preface == 0 && self.known == 0 && self.payload == 0
    }

    /// Returns how many bytes of a header block are held that is not complete.
    pub(super) fn unfinished_head(&self) -> usize {
        let is_incomplete = self.in_headers || self.payload > 0;
        if is_incomplete {
            self.block as usize
        } else {
            0
        }
    }

    /// Returns the number of the part of the client's stream that has begun and has to be completed in
    /// limited time: the preface with the first frame, a header block, or any frame but DATA.
    pub(super) fn unfinished(&self) -> Option<u64> {
        let in_frame = self.known > 0 || (self.payload > 0 && !self.in_data);
        (self.begun == 0 || in_frame || self.in_headers).then_some(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(vec![b'x'; length.into()]);
        bytes
    }

    /// The frames, and the unfinished part after each piece.
    fn scanned(bytes: &[u8], size: usize) -> (Vec<Frame>, Vec<Option<u64>>) {
        let mut scanner = FrameScanner::of_client();
        let (mut frames, mut unfinished) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            scanner.scan(piece, |frame| frames.push(frame));
            unfinished.push(scanner.unfinished());
        }
        (frames, unfinished)
    }

    #[test]
    fn frames_are_found_and_what_is_unfinished_is_known() {
        let mut scanner = FrameScanner::of_client();
        let mut kinds = Vec::new();
        let mut take = |bytes: &[u8]| {
            scanner.scan(bytes, |frame| kinds.push((frame.kind, frame.stream)));
            (scanner.unfinished(), scanner.is_between_frames())
        };
        assert_eq!(take(&PREFACE[..5]), (Some(0), false));
        assert_eq!(take(&PREFACE[5..]), (Some(0), true));
        assert_eq!(take(&frame(4, 0, 0, 0)), (None, true));
        assert_eq!(take(&frame(1, 0, 1, 3)), (Some(2), true));
        assert_eq!(take(&frame(9, 0, 1, 3)), (Some(2), true), "the same block");
        assert_eq!(take(&frame(9, 4, 1, 3)), (None, true));
        assert_eq!(
            take(&frame(0, 0, 1, 200)[..50]),
            (None, false),
            "DATA may be slow"
        );
        assert_eq!(take(&[0; 159]), (None, true));
        assert_eq!(take(&frame(6, 0, 0, 8)[..4]), (Some(4), false));
        assert_eq!(take(&frame(6, 0, 0, 8)[4..]), (None, true));
        let expected = [
            (Kind::Settings, 0),
            (Kind::Headers, 1),
            (Kind::Continuation, 1),
            (Kind::Continuation, 1),
            (Kind::Data, 1),
            (Kind::Ping, 0),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn the_length_of_an_unfinished_head_is_known() {
        let mut scanner = FrameScanner::of_server();
        let mut held_after = |bytes: &[u8]| {
            scanner.scan(bytes, |_| {});
            scanner.unfinished_head()
        };
        assert_eq!(held_after(&frame(0, 0, 1, 50)[..20]), 0);
        assert_eq!(held_after(&[0; 39]), 0);
        assert_eq!(held_after(&frame(1, 0, 1, 100)), 100);
        assert_eq!(held_after(&frame(9, 0, 1, 50)), 150);
        assert_eq!(held_after(&frame(9, 4, 1, 7)[..12]), 157);
        assert_eq!(held_after(&[0; 4]), 0);
        assert_eq!(held_after(&frame(1, 4, 3, 10)[..12]), 10);
    }

    #[test]
    fn flags_are_read_by_the_type() {
        let bytes = [
            PREFACE,
            &frame(4, 1, 0, 0),
            &frame(0, 1, 3, 0),
            &frame(0, 0, 3, 0),
        ]
        .concat();
        let (frames, _) = scanned(&bytes, 1000);
        assert!(frames[0].is_ack() && frames[1].ends_stream() && !frames[2].ends_stream());
    }

    proptest! {
        #[test]
        fn the_size_of_pieces_does_not_matter(
            frames in proptest::collection::vec((0_u8..12, 0_u8..8, 0_u32..9, 0_u8..40), 0..20),
            size in 1_usize..30,
        ) {
            let mut bytes = PREFACE.to_vec();
            for (kind, flags, stream, length) in frames {
                bytes.extend(frame(kind, flags, stream, length));
            }
            let (whole, at_end) = scanned(&bytes, bytes.len());
            let (pieces, of_pieces) = scanned(&bytes, size);
            prop_assert_eq!(whole, pieces);
            prop_assert_eq!(at_end.last(), of_pieces.last());
        }
    }
}
