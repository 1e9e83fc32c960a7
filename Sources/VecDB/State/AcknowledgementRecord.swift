import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// The acknowledgement policy as manifests carry it: hexadecimal, in the annotation
/// `acknowledgement`. Their layout is that of the replication protocol.
enum AcknowledgementRecord {
  static let annotationName = "acknowledgement"

  static func text(_ policy: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: policy.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  /// Whether a write must not be acknowledged before replicas hold it. What cannot be read is taken
  /// for a policy that waits.
  static func waits(_ policy: [UInt8]) -> Bool {
    guard let info = info(policy) else { return true }
    return info.isChanging || info.needed > 0 && info.maximumLag != nil
  }

  /// Nil if it cannot be read.
  static func info(_ policy: [UInt8]) -> AcknowledgementInfo? {
    guard let version = policy.first else { return .asynchronous }
    return policy.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      do {
        if version == 2 { _ = try reader.read(UInt8.self, "version of the change") }
        var info = try read(&reader)
        info.isChanging = version == 2
        return info
      } catch { return nil }
    }
  }

  private static func read(_ reader: inout ByteReader) throws -> AcknowledgementInfo {
    guard try reader.read(UInt8.self, "policy version") == 1 else {
      throw reader.failure("policy version")
    }
    var info = AcknowledgementInfo.asynchronous
    info.needed = Int(try reader.read(UInt32.self, "needed replicas"))
    let lag = try reader.read(UInt64.self, "maximum lag")
    info.maximumLag = lag == .max ? nil : lag
    info.timeoutMilliseconds = Int(try reader.read(UInt32.self, "timeout"))
    info.degrades = try reader.read(UInt8.self, "whether it degrades") == 1
    let count = Int(try reader.read(UInt32.self, "members"))
    guard count <= 64 else { throw reader.failure("members") }
    for _ in 0..<count { info.replicas.append(try reader.readString(maximum: 255, "member")) }
    return info
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

extension VecDBError {
  static func writesWaitForReplicas(_ path: String) -> VecDBError {
    VecDBError(
      .readOnly, "writes to this database wait for replicas, but no node ships them here", at: path,
      remedy: "Write through the node that serves it, or import with --listen and --replicas. "
        + "To write without replicas, serve it with --asynchronous first.")
  }
}
