# Starts Ceph's gateway with one monitor and one store in memory, on loopback; sourced by scripts/s3.

ceph_install() {
  command -v radosgw >/dev/null && command -v ceph-mon >/dev/null && command -v ceph-osd >/dev/null &&
    return
  say 'installing Ceph'
  command -v apt-get >/dev/null || die 'please install radosgw, ceph-mon, ceph-osd and ceph-base'
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    radosgw ceph-mon ceph-osd ceph-base ceph-common >/dev/null
}

# Leaves the gateway's port in `gateway`.
ceph_start() {
  ceph_install
  say 'Ceph'
  local place=$work/ceph monitor id
  monitor=$(free_port)
  gateway=$(free_port)
  mkdir -p "$place"/{mon,osd,rgw,run}
  id=$(python3 -c 'import uuid; print(uuid.uuid4())')
  export CEPH_CONF=$place/ceph.conf
  cat >"$CEPH_CONF" <<END
[global]
fsid = $id
mon_initial_members = a
mon_host = [v2:127.0.0.1:$monitor/0]
ms_bind_msgr1 = false
ms_bind_port_min = 20000
ms_bind_port_max = 29999
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = $place/keyring
run_dir = $place/run
admin_socket = $place/run/\$cluster-\$name.asok
log_file = $place/\$name.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_data = $place/mon
osd_data = $place/osd
osd_objectstore = memstore
memstore_device_bytes = 6442450944
mon_data_avail_warn = 1
mon_data_avail_crit = 1
mon_osd_full_ratio = .99
mon_osd_backfillfull_ratio = .985
mon_osd_nearfull_ratio = .98
rgw_data = $place/rgw
rgw_frontends = beast endpoint=127.0.0.1:$gateway
rgw_enable_usage_log = false
rgw_gc_processor_period = 60
END
  ceph-authtool --create-keyring "$place/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
  ceph-authtool "$place/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' \
    --cap mgr 'allow *' --cap mds 'allow *' >/dev/null
  ceph-authtool "$place/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' \
    >/dev/null
  ceph-authtool "$place/keyring" --gen-key -n client.rgw --cap mon 'allow rwx' --cap osd 'allow rwx' \
    >/dev/null
  monmaptool --create --addv a "[v2:127.0.0.1:$monitor]" --fsid "$id" "$place/monmap" >/dev/null
  ceph-mon --mkfs -i a --monmap "$place/monmap" --keyring "$place/keyring" >"$work/mon.log" 2>&1
  ceph-mon -f -i a >>"$work/mon.log" 2>&1 &
  processes+=($!)
  await "$monitor" mon
  local osd
  osd=$(python3 -c 'import uuid; print(uuid.uuid4())')
  timeout 60 ceph osd new "$osd" >/dev/null 2>>"$work/mon.log" ||
    die "the monitor does not answer: $(tail -n 5 "$work/mon.log")"
  ceph-osd --mkfs -i 0 --osd-uuid "$osd" >"$work/osd.log" 2>&1
  ceph-osd -f -i 0 >>"$work/osd.log" 2>&1 &
  processes+=($!)
  radosgw -f -n client.rgw >"$work/rgw.log" 2>&1 &
  processes+=($!)
  await "$gateway" rgw
  timeout 60 radosgw-admin user create --uid vecdb --display-name vecdb \
    --access-key "$AWS_ACCESS_KEY_ID" --secret-key "$AWS_SECRET_ACCESS_KEY" >/dev/null 2>>"$work/rgw.log" ||
    die "cannot make a user: $(tail -n 5 "$work/rgw.log")"
}
