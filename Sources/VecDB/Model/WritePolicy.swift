/// What an upsert does where the collection has, or lacks, a record with the key.
///
/// The records of one call count as written one after another: with
/// ``WritePolicy/skipExisting`` the first of two records with one key is written, with
/// ``WritePolicy/failIfExisting`` the call fails.
public enum WritePolicy: String, Sendable, Hashable, CaseIterable, Codable {
  /// Writes every record, and replaces those that are there.
  case overwrite
  /// Writes new records only. Leaves those that are there as they are, and counts them as
  /// ``UpsertResult/skipped``.
  case skipExisting
  /// Writes new records only. If one of the keys is there, the call throws `alreadyExists` and
  /// writes nothing of the batch, even if the record that is there is equal.
  case failIfExisting
  /// Replaces records only. Leaves out those whose key is not there, and counts them as
  /// ``UpsertResult/skipped``.
  case skipMissing
  /// Replaces records only. If one of the keys is not there, the call throws `notFound` and writes
  /// nothing of the batch.
  case failIfMissing
}

/// What must hold of the record that a write finds under its key.
enum WriteCondition: Sendable, Hashable {
  case policy(WritePolicy)
  /// None is there, or an equal one.
  case absentOrEqual
  /// The one there was written at this LSN.
  case version(UInt64)
}
