import BlockStore
import Files

/// The acknowledgement policy as manifests carry it: hexadecimal, in the annotation
/// `acknowledgement`. Its bytes mean something to the replication protocol alone.
enum AcknowledgementRecord {
  static let annotationName = "acknowledgement"

  static func text(_ policy: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: policy.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  /// Empty if the manifest has none. Throws `.corrupt`.
  static func read(in manifest: Manifest) throws -> [UInt8] {
    guard let text = manifest.annotations[annotationName] else { return [] }
    let digits = Array(text)
    let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
      UInt8(String(digits[$0...$0 + 1]), radix: 16)
    }
    guard bytes.count * 2 == digits.count else {
      throw StoreError(
        .corrupt, "the acknowledgement policy cannot be read",
        at: "manifest at LSN \(manifest.lsn)", remedy: "Restore the database from a backup.")
    }
    return bytes
  }
}

extension DatabaseState {
  /// What manifests say of this state beside its arrays.
  func annotations() throws -> [String: String] {
    var annotations = try marks.annotations()
    if !acknowledgement.isEmpty {
      annotations[AcknowledgementRecord.annotationName] =
        AcknowledgementRecord.text(acknowledgement)
    }
    return annotations
  }
}
