import VecDBBytes

/// When a write is acknowledged. It is a record of the log, so that every copy of the database
/// knows what the primary promised up to its own end.
package struct AcknowledgementPolicy: Sendable, Hashable {
  package static let asynchronous = AcknowledgementPolicy(
    members: [], needed: 0, maximumLag: nil, timeoutMilliseconds: 0, degrades: false)

  /// The replicas that count, by name.
  package var members: [String]
  /// How many of them must hold a write durably; 0 is asynchronous.
  package var needed: Int
  /// How many batches the needed members may be behind an acknowledged write: 0 is
  /// semi-synchronous; nil does not limit it.
  package var maximumLag: UInt64?
  /// After this long a write stops waiting.
  package var timeoutMilliseconds: Int
  /// What happens then: acknowledged without the members (and counted), or "outcome unknown".
  package var degrades: Bool

  package init(
    members: [String], needed: Int, maximumLag: UInt64? = 0, timeoutMilliseconds: Int = 5_000,
    degrades: Bool = false
  ) {
    self.members = members
    self.needed = needed
    self.maximumLag = maximumLag
    self.timeoutMilliseconds = timeoutMilliseconds
    self.degrades = degrades
  }

  package var isAsynchronous: Bool { needed == 0 || maximumLag == nil }

  /// How many members must have been heard to know every write that was acknowledged: any
  /// `needed` of them have one in common with those.
  package var hearingNeeded: Int { members.count - needed + 1 }

  /// How many members must have promised themselves to a new epoch. Also more than half of them, so
  /// that of two promotions the later one hears of the earlier.
  package var promisesNeeded: Int { max(hearingNeeded, members.count / 2 + 1) }

  // Layout: UInt8 version 1, UInt32 needed, UInt64 maximum lag (all ones: not limited), UInt32
  // timeout, UInt8 degrades, UInt32 count of members, each a counted name.
  private static let version: UInt8 = 1
  private static let membersMaximum = 64

  package func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(Self.version)
    writer.write(UInt32(needed))
    writer.write(maximumLag ?? .max)
    writer.write(UInt32(timeoutMilliseconds))
    writer.write(UInt8(degrades ? 1 : 0))
    writer.write(UInt32(members.count))
    for member in members { writer.write(member) }
    return writer.bytes
  }

  package init(from reader: inout ByteReader) throws {
    guard try reader.read(UInt8.self, "policy version") == Self.version else {
      throw reader.failure("policy version")
    }
    needed = Int(try reader.read(UInt32.self, "needed replicas"))
    let lag = try reader.read(UInt64.self, "maximum lag")
    maximumLag = lag == .max ? nil : lag
    timeoutMilliseconds = Int(try reader.read(UInt32.self, "timeout"))
    degrades = try reader.read(UInt8.self, "whether it degrades") == 1
    let count = Int(try reader.read(UInt32.self, "members"))
    guard count <= Self.membersMaximum, needed <= count else { throw reader.failure("members") }
    members = []
    for _ in 0..<count { members.append(try reader.readString(maximum: 255, "member")) }
  }

  package init(decoding bytes: [UInt8]) throws {
    self = try bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer)
      return try AcknowledgementPolicy(from: &reader)
    }
  }
}
