import VecDBBytes

/// The acknowledgement policy as the log has it: one policy, or while it is being changed two.
///
/// A change between policies is made in two records. The first one names both, and from before it
/// is written a write waits as both ask. When the replicas of the old policy hold that record, the
/// second one names the new policy alone. So whoever is promoted knows of a change, or meets
/// somebody who does, before anything is acknowledged that the old policy would have waited for.
package struct AcknowledgementTerms: Sendable, Hashable {
  package static let asynchronous = AcknowledgementTerms(.asynchronous)

  package var policy: AcknowledgementPolicy
  /// The policy that is being replaced.
  package var replaced: AcknowledgementPolicy?

  package init(_ policy: AcknowledgementPolicy, replacing replaced: AcknowledgementPolicy? = nil) {
    self.policy = policy
    self.replaced = replaced
  }

  /// Those that a write waits for.
  package var waiting: [AcknowledgementPolicy] {
    ([policy] + (replaced.map { [$0] } ?? [])).filter { !$0.isAsynchronous }
  }

  package var isAsynchronous: Bool { waiting.isEmpty }

  /// What happens after the timeout: both have to allow it.
  package var degrades: Bool { waiting.allSatisfy(\.degrades) }

  package var timeoutMilliseconds: Int { waiting.map(\.timeoutMilliseconds).max() ?? 0 }

  /// The record that begins the change to `new`, and whether a second one has to follow.
  package func changing(to new: AcknowledgementPolicy) -> AcknowledgementTerms {
    if policy.isAsynchronous, replaced == nil { return AcknowledgementTerms(new) }
    // A change that was broken off: what was in force before it still binds.
    return AcknowledgementTerms(new, replacing: replaced ?? policy)
  }

  // Layout: as a policy; or UInt8 version 2, and two of them, the new one first.
  private static let version: UInt8 = 2

  package func encoded() -> [UInt8] {
    guard let replaced else {
      return policy == .asynchronous ? [] : policy.encoded()
    }
    return [Self.version] + policy.encoded() + replaced.encoded()
  }

  package init(decoding bytes: [UInt8]) throws {
    guard let version = bytes.first else {
      self = .asynchronous
      return
    }
    guard version == Self.version else {
      self.init(try AcknowledgementPolicy(decoding: bytes))
      return
    }
    self = try bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer)
      _ = try reader.read(UInt8.self, "version")
      let policy = try AcknowledgementPolicy(from: &reader)
      return AcknowledgementTerms(policy, replacing: try AcknowledgementPolicy(from: &reader))
    }
  }
}
