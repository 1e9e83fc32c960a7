import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBLogStore
import VecDBObjectStore

@testable import VecDB

/// What is fuzzed: everything that reads bytes which somebody else may have written. A target must
/// return or throw one of our errors; a trap is a finding.
enum FuzzTarget: String, CaseIterable {
  /// Payloads of batches in the log.
  case batch
  /// Manifests, lists of blocks, packs' states of indexes, identities.
  case manifest
  /// Filters as text.
  case filter
  /// Files that `import` reads: the first byte chooses fvecs, bvecs, npy or JSON lines.
  case formats
  /// Frames of the log and streams of them.
  case frames
  /// JSON lines and canonical metadata.
  case json
  /// Frames on the control socket.
  case control
  /// Batches of every kind and size, made from the input and written: what is let into the log reads
  /// back, and is the same.
  case encoding
  /// Documents of object stores.
  case xml

  func run(_ bytes: UnsafeRawBufferPointer) {
    switch self {
    case .batch: attempt { _ = try DecodedBatch.with(Array(bytes), lsn: 1) { Self.touch($0) } }
    case .manifest: Self.readManifest(Array(bytes))
    case .filter:
      attempt {
        let filter = try Filter(parsing: String(decoding: bytes, as: UTF8.self))
        // What is written must read back as the same.
        let again = try Filter(parsing: "\(filter)")
        precondition("\(again)" == "\(filter)", "a filter reads back differently")
      }
    case .formats: Self.readFile(bytes)
    case .frames: Self.readFrames(Array(bytes))
    case .json:
      attempt { _ = try JSONRecord(line: bytes, dimensions: 4) }
      attempt {
        let metadata = try Metadata(canonicalBytes: bytes)
        let canonical = try metadata.canonicalBytes()
        precondition(canonical.elementsEqual(bytes), "canonical bytes are not unique")
      }
      attempt { try CanonicalMetadata.forEachField(in: bytes) { _, _ in } }
    case .control:
      attempt {
        var reader = ControlFrameReader(limitBytes: ControlFrame.requestLimitBytes)
        reader.feed(bytes)
        while let body = try reader.next() {
          _ = try ControlFrame.decode(ControlRequest.self, body)
        }
      }
    case .xml:
      attempt { _ = try XMLReader.read(Array(bytes)) }
      attempt { _ = try ListDocument(Array(bytes)) }
      attempt { _ = try WebIdentityDocument(Array(bytes)) }
      _ = ErrorDocument(Array(bytes))
    case .encoding:
      let fault = BatchEncoding(Array(bytes)).fault
      precondition(fault == nil, fault ?? "")
    }
  }

  private func attempt(_ body: () throws -> Void) {
    do { try body() } catch {
      // Refused, as it should be: with an error of ours, which can be described.
      precondition(!"\(error)".isEmpty)
    }
  }

  /// Reads all that a decoded batch points to.
  private static func touch(_ batch: DecodedBatch) {
    guard case .write(let write) = batch else { return }
    var sum = 0
    for birth in write.births {
      for byte in birth.key { sum &+= Int(byte) }
      for byte in birth.metadata { sum &+= Int(byte) }
      for value in birth.vector { sum &+= value.isNaN ? 1 : 0 }
    }
    precondition(sum != Int.min)
  }

  private static func readManifest(_ bytes: [UInt8]) {
    for candidate in [bytes, withDigest(bytes)] {
      FuzzTarget.manifest.attempt { _ = try Manifest(decoding: candidate, at: "input") }
    }
    FuzzTarget.manifest.attempt { _ = try BlockList(decoding: bytes, at: "input") }
    FuzzTarget.manifest.attempt { _ = try LogIdentity(decoding: bytes, at: "input") }
    FuzzTarget.manifest.attempt { _ = try LogIdentity(decoding: withChecksum(bytes), at: "input") }
    FuzzTarget.manifest.attempt { _ = try DatabaseState.decodeCatalog(bytes, at: "input") }
  }

  private static func readFrames(_ bytes: [UInt8]) {
    for candidate in [bytes, withChecksum(bytes)] {
      FuzzTarget.frames.attempt {
        let frame = try candidate.withUnsafeBytes { try LogFrame(decoding: $0, at: "input") }
        precondition(frame.encoded() == candidate, "a frame reads back differently")
      }
    }
    FuzzTarget.frames.attempt {
      var reader = LogFrameStreamReader(place: "input")
      // In two pieces, since frames arrive in pieces.
      reader.feed(bytes.prefix(bytes.count / 3))
      while try reader.next() != nil {}
      reader.feed(bytes.dropFirst(bytes.count / 3))
      while try reader.next() != nil {}
      try reader.expectComplete()
    }
  }

  /// The bytes with a right CRC-32C at their end, so that chance gets past it.
  private static func withChecksum(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= 4 else { return bytes }
    var writer = ByteWriter()
    let body = bytes.dropLast(4)
    writer.write(raw: body)
    writer.write(CRC32C.checksum(Array(body)))
    return writer.bytes
  }

  /// The bytes with a right SHA-256 at their end.
  private static func withDigest(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= Digest.sizeBytes else { return bytes }
    var writer = ByteWriter()
    let body = bytes.dropLast(Digest.sizeBytes)
    writer.write(raw: body)
    writer.write(SHA256.hash(Array(body)))
    return writer.bytes
  }

  private static let file = "/dev/shm/vecdb-fuzz-\(getpid())"
  private static let descriptor = open(file, O_RDWR | O_CREAT | O_TRUNC, 0o600)

  /// Reads a file of vectors to its end.
  private static func readFile(_ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.first, descriptor >= 0 else { return }
    let body = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    guard ftruncate(descriptor, 0) == 0,
      pwrite(descriptor, body.baseAddress, body.count, 0) == body.count
    else { return }
    let formats = VectorFormat.allCases
    FuzzTarget.formats.attempt {
      let source = try openVectors(file, format: formats[Int(first) % formats.count])
      var rows = 0
      while let row = try source.next() {
        precondition(row.vector.allSatisfy(\.isFinite), "a component is not finite")
        rows += 1
        if rows > 1_000 { break }
      }
    }
  }
}
