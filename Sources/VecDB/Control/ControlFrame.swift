import FoundationEssentials
import Glibc
import VecDBBytes

/// How a message lies on the control socket: `VDBC`, UInt8 version, 3 zero bytes, UInt32 length n,
/// n bytes of JSON (see the FileFormats article).
package enum ControlFrame {
  static let magic: UInt32 = 0x4342_4456  // "VDBC"
  static let version: UInt8 = 1
  static let headerBytes = 12
  /// The longest request, so that garbage cannot make the owner hold much.
  static let requestLimitBytes = 1 << 20
  /// The longest answer: statistics of a thousand collections stay far below it.
  static let answerLimitBytes = 16 << 20

  /// The frame of a value that `JSONEncoder` can write.
  package static func encode(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let body = try encoder.encode(value)
    var writer = ByteWriter(reservingCapacity: headerBytes + body.count)
    writer.write(magic)
    writer.write(version)
    writer.write(raw: [0, 0, 0])
    writer.write(UInt32(body.count))
    writer.write(raw: Array(body))
    return writer.bytes
  }

  /// Reads the JSON of a frame. Throws `invalidArgument`: what a peer sent cannot be understood.
  static func decode<Value: Decodable>(_ type: Value.Type, _ body: [UInt8]) throws -> Value {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do { return try decoder.decode(type, from: Data(body)) } catch {
      throw VecDBError(
        .invalidArgument, "cannot decode the message on the control socket: \(error)")
    }
  }
}

/// Cuts what arrives on a control socket into frames. It never holds more than one frame of the
/// limit and what was fed last.
struct ControlFrameReader {
  private let limitBytes: Int
  private var buffer: [UInt8] = []

  init(limitBytes: Int) { self.limitBytes = limitBytes }

  mutating func feed(_ bytes: some Sequence<UInt8>) { buffer.append(contentsOf: bytes) }

  /// The JSON of the next whole frame, or nil if more bytes are needed.
  ///
  /// - Throws: `unknownVersion`; `invalidArgument` for what is no frame, at its first wrong byte;
  ///   `limitExceeded`. Nothing more can be read after that.
  mutating func next() throws -> [UInt8]? {
    let magic = withUnsafeBytes(of: ControlFrame.magic.littleEndian) { Array($0) }
    guard buffer.prefix(4).elementsEqual(magic.prefix(buffer.count)) else {
      throw VecDBError(.invalidArgument, "this is not the control protocol of vecdb")
    }
    guard buffer.count > 4 else { return nil }
    guard buffer[4] == ControlFrame.version else {
      throw VecDBError(
        .unknownVersion,
        "the control protocol has version \(buffer[4]); this program knows "
          + "\(ControlFrame.version)", remedy: "Use a vecdb of the same version as the owner's.")
    }
    guard buffer.count >= ControlFrame.headerBytes else { return nil }
    let length = buffer.withUnsafeBytes {
      Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
    }
    guard buffer[5..<8].allSatisfy({ $0 == 0 }) else {
      throw VecDBError(.invalidArgument, "the header of a control message is damaged")
    }
    guard length <= limitBytes else {
      throw VecDBError(
        .limitExceeded, "a control message has \(length) bytes; the limit is \(limitBytes)")
    }
    let end = ControlFrame.headerBytes + length
    guard buffer.count >= end else { return nil }
    let body = Array(buffer[ControlFrame.headerBytes..<end])
    buffer.removeSubrange(..<end)
    return body
  }
}
