#!/usr/bin/env python3
"""Write the golden vectors (*.hex) beside this file, and seeds of the fuzz targets made of them.

Run by hand; the results are committed.  The packer below is written from
RFC 4506 and knows nothing of rpcgen's output, so that test_vectors.c compares two
independent readings of the RFCs.  Values are those of decoded captures of the Linux client
and knfsd (kernels 6.1 and 6.12) where there were any.
"""
import os
import struct

u32 = lambda v: struct.pack('>I', v)
i32 = lambda v: struct.pack('>i', v)
u64 = lambda v: struct.pack('>Q', v)
i64 = lambda v: struct.pack('>q', v)
MAX = 0xffffffffffffffff


def fixed(b):
    return b + b'\0' * (-len(b) % 4)


def opaque(b):
    b = b.encode() if isinstance(b, str) else b
    return u32(len(b)) + fixed(b)


def array(items):
    return u32(len(items)) + b''.join(items)


def bitmap(*bits):
    words = [0] * (max(bits) // 32 + 1 if bits else 0)
    for b in bits:
        words[b // 32] |= 1 << b % 32
    return array([u32(w) for w in words])


def stateid(seq, other):
    return u32(seq) + other.ljust(12, b'\0')


# RFC 8881 16.2.3, 20.2.3
def call(minor, *ops):
    return opaque('') + u32(minor) + array(ops)


def cb_call(minor, ident, *ops):
    return opaque('') + u32(minor) + u32(ident) + array(ops)


def reply(status, *ops):
    return u32(status) + opaque('') + array(ops)


OP = dict(GETATTR=9, PUTFH=22, READDIR=26, EXCHANGE_ID=42, CREATE_SESSION=43, GETDEVICEINFO=47,
          LAYOUTCOMMIT=49, LAYOUTGET=50, LAYOUTRETURN=51, SEQUENCE=53, GETFH=10, LOOKUP=15,
          DESTROY_CLIENTID=57)
BLOCK, SCSI = 3, 5          # layouttype4
READ, RW, ANY = 1, 2, 3     # layoutiomode4
SESSION = bytes(range(16))
DEVICE = b'\1' + b'\0' * 15
FH = bytes.fromhex('0100068190a0bdfd299818c70a0213cad36c364880000000')


def op(name, body=b''):
    return u32(OP[name]) + body


def sequence(seq, slot, high=0, cache=0):
    return op('SEQUENCE', SESSION + u32(seq) + u32(slot) + u32(high) + u32(cache))


def sequence_res(seq, slot):
    return op('SEQUENCE', u32(0) + SESSION + u32(seq) + u32(slot) + u32(63) + u32(63) + u32(0))


putfh = op('PUTFH', opaque(FH))
putfh_res = op('PUTFH', u32(0))


def extent(off, length, addr, state):    # RFC 5663 2.3, RFC 8154 2.4
    return DEVICE + u64(off) + u64(length) + u64(addr) + u32(state)


block_layout = array([extent(0, 1048576, 98304, 2)])
scsi_layout = array([extent(0, 4096, 98304, 1), extent(4096, 61440, 0, 3),
                     extent(65536, 8388608, 1 << 40, 1)])
block_update = array([extent(1048576, 1048576, 0, 0)])
scsi_update = array([u64(0) + u64(4096), u64(65536) + u64(8388608)])
UUID = bytes.fromhex('0213cad36c364890a0bdfd299818c70a')
NAA = bytes.fromhex('6001405112233445566778899aabbccd')
block_device = array([u32(0) + array([i64(32) + opaque(UUID)])])
scsi_device = array([u32(4) + u32(1) + u32(3) + opaque(NAA) + u64(0x6b02d9df7eb3f492)])
# RFC 5663 2.2.2: two disks, one with a signature at its end, sliced, striped, put together
block_topology = array([
    u32(0) + array([i64(32) + opaque(UUID), i64(-512) + opaque(b'tail1')]),
    u32(0) + array([i64(32) + opaque(UUID[::-1])]),
    u32(1) + u64(1 << 20) + u64(1 << 30) + u32(0),
    u32(3) + u64(65536) + array([u32(2), u32(1)]),
    u32(2) + array([u32(3), u32(0)])])


def layoutget(lt, iomode, off, length, sid):
    return op('LAYOUTGET', u32(0) + u32(lt) + u32(iomode) + u64(off) + u64(length) + u64(4096) +
              sid + u32(4096))


def layoutget_res(lt, iomode, off, length, sid, body):
    return op('LAYOUTGET', u32(0) + u32(1) + sid + array(
        [u64(off) + u64(length) + u32(iomode) + u32(lt) + opaque(body)]))


layoutcommit = op('LAYOUTCOMMIT', u64(0) + u64(2097152) + u32(0) +
                  stateid(2, bytes.fromhex('1903000000')) + u32(1) + u64(2097151) + u32(0) +
                  u32(BLOCK) + opaque(block_update))
layoutcommit_none = op('LAYOUTCOMMIT', u64(0) + u64(8192) + u32(0) +
                       stateid(2, bytes.fromhex('1903000000')) + u32(0) + u32(1) +
                       i64(1700000000) + u32(123456789) + u32(BLOCK) + opaque(b''))
getattr_post = op('GETATTR', bitmap(3, 4, 52, 53))

# RFC 8881 18.35.1.  A second operation shows whether all of the first was consumed.
client_owner = b'\x11\x22\x33\x44\x55\x66\x77\x88' + opaque('Linux NFSv4.2 client')
oids = array([opaque(bytes.fromhex('608648016503040201'))])
ops_must = bitmap(42, 43, 44, 57)
marker = op('DESTROY_CLIENTID', u64(0xfeedface))


def exchange_id(protect):
    return op('EXCHANGE_ID', client_owner + u32(0x101) + protect + array(
        [opaque('kernel.org') + opaque('Linux 6.12') + i64(0) + u32(0)]))


def channel(req, resp, cached, nops, slots):
    return u32(0) + u32(req) + u32(resp) + u32(cached) + u32(nops) + u32(slots) + array([])


create_session = op('CREATE_SESSION', u64(0x0102030405060708) + u32(1) + u32(3) +
                    channel(1049620, 1049480, 7584, 8, 64) + channel(4096, 4096, 0, 2, 16) +
                    u32(0x40000000) + array([
                        u32(0),
                        u32(1) + u32(4711) + opaque('client-1') + u32(0) + u32(0) + array([u32(10)])]))

# RFC 8881 5; in the order of the numbers
fsinfo = bitmap(0, 10, 27, 30, 31, 51, 62, 65) + opaque(
    bitmap(0, 1, 2, 3, 4, 10, 27, 33, 62, 65) + u32(90) + u64((1 << 63) - 1) + u64(1 << 20) +
    u64(1 << 20) + i64(0) + u32(1) + array([u32(SCSI), u32(BLOCK)]) + u32(4096))
times = bitmap(1, 3, 4, 8, 20, 33, 35, 36, 37, 41, 45, 47, 52, 53, 55) + opaque(
    u32(1) + u64(7000000001) + u64(268435457) + u64(0x1122334455667788) + u64(2) + u64(133) +
    u32(0o640) + u32(2) + opaque('1000') + opaque('users@example.org') + u32(8) + u32(17) +
    u64(268439552) + i64(1700000000) + u32(999999999) + i64(-1) + u32(5) + i64(1700000001) + u32(0) +
    u64(133))
setattr_ = bitmap(4, 33, 48, 54) + opaque(u64(0) + u32(0o1777) + u32(0) + u32(1) + i64(-5) + u32(7))


def entry(cookie, name, fileid):
    return u32(1) + u64(cookie) + opaque(name) + bitmap(1, 20) + opaque(u32(1) + u64(fileid))


readdir_body = (bytes(range(8)) + entry(3, 'a', 131) + entry(4, 'some-name', 132) +
                entry(1 << 63, 'h\u00f6he', 133) + u32(0) + u32(1))

CB = dict(CB_LAYOUTRECALL=5, CB_SEQUENCE=11)
cb_sequence = u32(CB['CB_SEQUENCE']) + SESSION + u32(7) + u32(0) + u32(0) + u32(0) + array(
    [SESSION + array([u32(5) + u32(1)])])
cb_sequence_res = u32(CB['CB_SEQUENCE']) + u32(0) + SESSION + u32(7) + u32(0) + u32(15) + u32(15)
cb_recall = u32(CB['CB_LAYOUTRECALL']) + u32(BLOCK) + u32(ANY) + u32(1) + u32(1) + opaque(FH) + \
    u64(0) + u64(MAX) + stateid(3, bytes.fromhex('1903000000'))

sid_open = stateid(0, bytes.fromhex('1902000000'))
sid_lo = stateid(1, bytes.fromhex('1903000000'))
auth_sys = u32(4711) + opaque('client-1') + u32(1000) + u32(100) + array([u32(100), u32(10)])

VECTORS = {
    'loc-block': block_layout,
    'loc-scsi': scsi_layout,
    'lou-block': block_update,
    'lou-scsi': scsi_update,
    'dev-block': block_device,
    'dev-scsi': scsi_device,
    'dev-block-topology': block_topology,
    'call-layoutget': call(1, sequence(1, 0, 0, 1), putfh,
                           layoutget(BLOCK, RW, 0, 1048576, sid_open)),
    'reply-layoutget': reply(0, sequence_res(1, 0), putfh_res,
                             layoutget_res(BLOCK, RW, 0, 1048576, sid_lo, block_layout)),
    'call-layoutcommit': call(1, sequence(2, 0), putfh, layoutcommit, getattr_post,
                              layoutcommit_none),
    'call-getdeviceinfo': call(1, sequence(3, 1, 1), op('GETDEVICEINFO', DEVICE + u32(BLOCK) +
                                                        u32(265760) + bitmap(1, 2))),
    'reply-getdeviceinfo': reply(0, sequence_res(3, 1), op(
        'GETDEVICEINFO', u32(0) + u32(BLOCK) + opaque(block_device) + bitmap(1, 2))),
    'reply-getdeviceinfo-toosmall': reply(10005, sequence_res(3, 1), op(
        'GETDEVICEINFO', u32(10005) + u32(72))),
    'call-layoutreturn': call(2, sequence(4, 0), putfh, op(
        'LAYOUTRETURN', u32(0) + u32(SCSI) + u32(RW) + u32(1) + u64(0) + u64(MAX) + sid_lo +
        opaque(b''))),
    'reply-layoutreturn': reply(0, sequence_res(4, 0), putfh_res, op('LAYOUTRETURN', u32(0) + u32(0))),
    'call-exchange-id': call(1, exchange_id(u32(0)), marker),
    'call-exchange-id-mach': call(1, exchange_id(u32(1) + ops_must + bitmap()), marker),
    'call-exchange-id-ssv': call(1, exchange_id(u32(2) + ops_must + bitmap(3, 38) + oids + oids +
                                                u32(128) + u32(4)), marker),
    'call-create-session': call(1, create_session),
    'cb-call-layoutrecall': cb_call(1, 0, cb_sequence, cb_recall),
    'cb-reply-layoutrecall': reply(10060, cb_sequence_res, u32(CB['CB_LAYOUTRECALL']) + u32(10060)),
    'reply-readdir': reply(0, sequence_res(9, 0), putfh_res,
                           op('READDIR', u32(0) + readdir_body)),
    'fattr-fsinfo': fsinfo,
    'fattr-file': times,
    'fattr-set': setattr_,
    'rpc-call': u32(0x01020304) + u32(0) + u32(2) + u32(100003) + u32(4) + u32(1) +
    u32(1) + opaque(auth_sys) + u32(0) + u32(0),
    'rpc-reply': u32(0x01020304) + u32(1) + u32(0) + u32(0) + u32(0) + u32(0),
    'rpc-reply-mismatch': u32(0x01020304) + u32(1) + u32(0) + u32(0) + u32(0) + u32(2) + u32(4) + u32(4),
    'rpc-reply-badcred': u32(0x01020304) + u32(1) + u32(1) + u32(1) + u32(1),
}



def record(*fragments):
    marks = [u32(len(f) | (0x80000000 if i == len(fragments) - 1 else 0))
             for i, f in enumerate(fragments)]
    return b''.join(m + f for m, f in zip(marks, fragments))


# Seeds of the fuzz targets: {target: {seed: bytes}}; the first byte chooses the mode (fuzz_*.c).
def corpus():
    v = VECTORS
    c = {t: {} for t in ('rpc_record', 'fattr4', 'layout_update', 'device_addr', 'compound')}
    for name, data in v.items():
        kind = name.split('-')[0]
        scsi = bytes([name.endswith('scsi')])
        if kind in ('loc', 'lou'):
            c['layout_update'][name] = scsi + data
        elif kind == 'dev':
            c['device_addr'][name] = scsi + data
        elif kind == 'fattr':
            c['fattr4'][name] = data
        elif kind == 'rpc':
            c['rpc_record'][name] = b'\0' + record(data)
        else:
            mode = 2 * (kind == 'cb') + ('reply' in name)
            c['compound'][name] = bytes([mode]) + data
    call = v['rpc-call'] + v['call-layoutget']
    c['rpc_record']['two-records'] = b'\7' + record(call) + record(v['rpc-reply'])
    c['rpc_record']['fragments'] = b'\0' + record(call[:8], b'', call[8:20], call[20:])
    return c


if __name__ == '__main__':
    here = os.path.dirname(os.path.abspath(__file__))
    for target, seeds in corpus().items():
        where = os.path.join(here, '..', 'fuzz', 'corpus', target)
        os.makedirs(where, exist_ok=True)
        for name, data in seeds.items():
            with open(os.path.join(where, name), 'wb') as f:
                f.write(data)
    for name, data in VECTORS.items():
        assert len(data) % 4 == 0
        words = [data[i:i + 4].hex() for i in range(0, len(data), 4)]
        with open(os.path.join(here, name + '.hex'), 'w') as f:
            for i in range(0, len(words), 8):
                f.write(' '.join(words[i:i + 8]) + '\n')
